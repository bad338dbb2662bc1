//! Opening the folder: one server, the right key, and no file before it is needed.

use crate::folder::{Embedded, data, open, open_with};
use kms_file::MasterKey;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use store::{Commit, KeyPurpose, TenantKeyring as _, UsageStore as _};
use store_sqlite::OpenError;
use store_tests::samples::{NOW, agent, call, commit, record};
use store_tests::{Backend, World, audit_trail, records};

/// Every file in the folder with its content, but the lock.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if !path.ends_with("lock") {
            all.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    all
}

#[test]
fn a_tenant_costs_no_file_until_it_stores_something() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        let tenants = world.backend.folder().join("regions/local/tenants");
        let files = || {
            let names = fs::read_dir(&tenants).unwrap().map(|entry| entry.unwrap().file_name());
            names
                .map(|name| name.into_string().unwrap())
                .filter(|name| name.ends_with(".db"))
                .collect::<Vec<_>>()
        };
        world
            .visit(world.one, async |tenant| {
                use store::Objects as _;
                audit_trail::append(store, &tenant, &["one"]).await;
                store
                    .begin_call(&tenant, &call(1, store::CallKind::Model, "m", NOW), Commit::default())
                    .await
                    .unwrap();
                let access = tenant.authorize::<context::Create<context::on::Agent>>().unwrap();
                store.create(&access, &agent(1, "a"), commit(&tenant, "agent")).await.unwrap();
                assert_eq!(audit_trail::verified(store, &tenant, None).await.events, audit_trail::FIRST + 2);
            })
            .await;
        store.maintain().await;
        store.close().await;
        assert_eq!(files(), Vec::<String>::new());
        world
            .visit(world.one, async |tenant| {
                records::create(store, &tenant, record(1, json!({}))).await.unwrap();
            })
            .await;
        assert_eq!(files(), [format!("{}.db", world.one)]);
        let world = world.reopen().await;
        world
            .visit(world.one, async |tenant| {
                let events = audit_trail::verified(world.store(), &tenant, None).await.events;
                assert_eq!(events, audit_trail::FIRST + 3);
            })
            .await;
    });
}

#[test]
fn two_servers_do_not_share_a_folder() {
    World::<Embedded>::run(async |world| {
        let place = world.backend.place();
        let second = open(place.path(), &data(place.path()), world.env()).await;
        assert!(matches!(second.err(), Some(OpenError::InUse)));
    });
}

#[test]
fn a_wrong_master_key_opens_nothing_and_touches_nothing() {
    World::<Embedded>::run(async |world| {
        world
            .visit(world.one, async |tenant| {
                records::create(world.store(), &tenant, record(1, json!({}))).await.unwrap();
            })
            .await;
        let World { fixture, backend, one, .. } = world;
        let image = backend.place();
        backend.store().close().await;
        drop(backend);
        let (env, before) = (fixture.env(), contents(&data(image.path())));
        let other = |name: &str| MasterKey::create_development(&image.path().join(name), &env).unwrap();
        for previous in [None, Some(other("older.key"))] {
            let name = if previous.is_some() { "a.key" } else { "b.key" };
            let opened = open_with(other(name), previous, &data(image.path()), env.clone()).await;
            assert!(matches!(opened.err(), Some(OpenError::WrongMasterKey)));
            assert!(contents(&data(image.path())) == before);
        }
        let opened = open(image.path(), &data(image.path()), env).await.unwrap();
        let owner = fixture.owner(one).await;
        owner.enter(async |tenant| assert!(records::get(&opened, &tenant, 1).await.is_ok())).await;
    });
}

#[test]
fn keys_move_to_a_new_master_key() {
    World::<Embedded>::run(async |world| {
        let image = tempfile::TempDir::new().unwrap();
        let key = async |store: &store_sqlite::EmbeddedStore| {
            let key =
                world.visit(world.one, async |tenant| store.key(&tenant, KeyPurpose::Vault).await).await;
            *key.unwrap().expose()
        };
        let before = key(world.store()).await;
        world.store().close().await;
        crate::crash::copy(world.backend.place().path(), image.path());
        let (old, new) = (image.path().join("master.key"), image.path().join("new.key"));
        let fresh = MasterKey::create_development(&new, &world.env()).unwrap();
        let load = |path: &Path| MasterKey::load(path).unwrap();
        let folder = data(image.path());
        let rotating = open_with(fresh, Some(load(&old)), &folder, world.env()).await.unwrap();
        assert_eq!(rotating.rewrap_keys(&world.operator).await, Ok(3));
        assert_eq!(rotating.rewrap_keys(&world.operator).await, Ok(0));
        assert!(key(&rotating).await == before);
        drop(rotating);
        let refused = open_with(load(&old), None, &folder, world.env()).await;
        assert!(matches!(refused.err(), Some(OpenError::WrongMasterKey)));
        let opened = open_with(load(&new), None, &folder, world.env()).await.unwrap();
        assert!(key(&opened).await == before);
    });
}

#[test]
fn a_folder_that_lost_its_platform_store_is_not_taken_for_a_new_one() {
    World::<Embedded>::run(async |world| {
        let image = tempfile::TempDir::new().unwrap();
        world.store().close().await;
        crate::crash::copy(world.backend.place().path(), image.path());
        for entry in fs::read_dir(data(image.path())).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("platform") {
                fs::remove_file(path).unwrap();
            }
        }
        let opened = open(image.path(), &data(image.path()), world.env()).await;
        assert!(matches!(opened.err(), Some(OpenError::Unusable(_))));
        assert!(!data(image.path()).join("platform.db").exists());
    });
}
