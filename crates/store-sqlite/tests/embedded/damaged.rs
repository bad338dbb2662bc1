//! Restoring where the tenant's present file cannot be read.

use crate::folder::Embedded;
use authz::{Role, Scopes};
use context::{CredentialIndex as _, IndexedSubject, KeyedHash, Tenant};
use ids::{KeyId, TenantId};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use store::{
    AuditQuery, PlatformStore as _, RestoreLoss, RestoreOptions, Restored, StoreError, TenantLifecycle as _,
};
use store_tests::samples::{id, record};
use store_tests::{World, audit_trail, records};
use tempfile::TempDir;

const AS_IT_IS: RestoreOptions = RestoreOptions { allow_older: false, accept_loss: false };
const ACCEPTED: RestoreOptions = RestoreOptions { allow_older: false, accept_loss: true };

fn file(world: &World<Embedded>, tenant: TenantId) -> PathBuf {
    world.backend.folder().join(format!("regions/local/tenants/{tenant}.db"))
}

/// Overwrites the file from this byte on, while nobody has it open.
async fn damage(world: World<Embedded>, from: usize) -> World<Embedded> {
    let path = file(&world, world.one);
    world.store().close().await;
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > from);
    bytes[from..].fill(7);
    fs::write(&path, bytes).unwrap();
    world.reopen().await
}

async fn restore(world: &World<Embedded>, options: RestoreOptions) -> Result<Restored, StoreError> {
    let backup = world.backend.place().path().join("backup");
    world.store().restore(&world.operator, world.one, backup, options).await
}

async fn create(world: &World<Embedded>, tenant: TenantId, number: u8) -> Result<(), StoreError> {
    let made = async |tenant: Tenant<'_>| {
        records::create(world.store(), &tenant, record(number, json!({"who": "anna"}))).await.map(drop)
    };
    world.visit(tenant, made).await
}

/// Backs up, writes more, brings that into the file, and gives back the last checkpoint.
async fn back_up_and_go_on(world: &World<Embedded>) -> String {
    create(world, world.one, 1).await.unwrap();
    create(world, world.two, 1).await.unwrap();
    let backup = world.backend.place().path().join("backup");
    world.store().backup(&world.operator, world.one, &backup).await.unwrap();
    create(world, world.one, 2).await.unwrap();
    let last =
        async |tenant: Tenant<'_>| audit_trail::checkpoint(world.store(), &tenant).await.note().to_string();
    world.visit(world.one, last).await
}

#[test]
fn a_loss_is_accepted_or_nothing_is_restored() {
    World::<Embedded>::run(async |world| {
        let last = back_up_and_go_on(&world).await;
        // From the first byte on nothing of it is a database; from the third page on much of it is.
        let world = damage(world, 0).await;
        assert_eq!(create(&world, world.one, 3).await, Err(StoreError::TenantUnavailable));
        assert_eq!(create(&world, world.two, 3).await, Ok(()));
        let refused = restore(&world, AS_IT_IS).await;
        assert!(matches!(refused, Err(StoreError::BackupRefused(_))), "{refused:?}");
        assert_eq!(create(&world, world.one, 3).await, Err(StoreError::TenantUnavailable));

        let restored = restore(&world, ACCEPTED).await.unwrap();
        assert!(matches!(restored.loss, Some(RestoreLoss { log_epoch: 2, .. })));
        let world = world.reopen().await;
        create(&world, world.one, 3).await.unwrap();
        let look = async |tenant: Tenant<'_>| {
            let store = world.store();
            assert!(records::get(store, &tenant, 1).await.is_ok());
            // The log that begins is another one: the two can never be taken for one with two histories.
            let report = audit_trail::verified(store, &tenant, None).await;
            assert_eq!((report.log.epoch, report.events), (2, 1));
            let key = audit_trail::key(store, &tenant).await;
            assert!(audit::note::SignedCheckpoint::open(&last, &key).is_err());
            // What the ended log had up to the backup is still to be seen, after what came since.
            let (all, _) = audit_trail::list(store, &tenant, &AuditQuery::default(), 50, None).await.unwrap();
            let epochs: Vec<_> = all.iter().map(|event| event.view["epoch"].as_u64().unwrap()).collect();
            assert_eq!(epochs, [2, 1, 1, 1]);
            let (first, more) =
                audit_trail::list(store, &tenant, &AuditQuery::default(), 2, None).await.unwrap();
            let (rest, _) = audit_trail::list(store, &tenant, &AuditQuery::default(), 2, more).await.unwrap();
            assert_eq!([first, rest].concat(), all);
        };
        world.visit(world.one, look).await;
    });
}

#[test]
fn a_file_of_which_a_page_is_damaged_is_restored_with_its_loss_said() {
    World::<Embedded>::run(async |world| {
        back_up_and_go_on(&world).await;
        let world = damage(world, 3 * 4096).await;
        assert!(matches!(restore(&world, AS_IT_IS).await, Err(StoreError::BackupRefused(_))));
        assert!(restore(&world, ACCEPTED).await.unwrap().loss.is_some());
        assert_eq!(create(&world, world.one, 9).await, Ok(()));
    });
}

#[test]
fn what_the_journal_still_has_comes_back_with_the_backup() {
    World::<Embedded>::run(async |world| {
        back_up_and_go_on(&world).await;
        let mut world = damage(world, 0).await;
        // As if the file had been damaged before this was brought into it: only the journal has it.
        let other = world.backend.place().path().join("whole");
        restore(&world, ACCEPTED).await.unwrap();
        create(&world, world.one, 4).await.unwrap();
        fs::copy(file(&world, world.one), &other).unwrap();
        fs::write(file(&world, world.one), b"no database").unwrap();
        let place = TempDir::new().unwrap();
        crate::crash::copy(world.backend.place().path(), place.path());
        world.backend = Embedded::at(place, world.env()).await;
        let newer = RestoreOptions { allow_older: true, accept_loss: true };
        assert!(restore(&world, newer).await.unwrap().loss.is_some());
        let found = async |tenant: Tenant<'_>| records::get(world.store(), &tenant, 4).await;
        assert!(world.visit(world.one, found).await.is_ok());
    });
}

#[test]
fn a_key_that_the_backup_does_not_know_is_revoked() {
    World::<Embedded>::run(async |world| {
        back_up_and_go_on(&world).await;
        let hash = KeyedHash([9; 32]);
        let key = id::<KeyId>(9);
        let subject =
            IndexedSubject::ApiKey { id: key, role: Role::Owner, scopes: Scopes::everything(), agent: None };
        let index = async |tenant: Tenant<'_>| {
            world.store().index_credential(&tenant, hash, subject.clone(), None).await.unwrap();
        };
        world.visit(world.one, index).await;
        assert!(world.store().find(&hash).await.unwrap().is_some());
        let world = damage(world, 0).await;
        restore(&world, ACCEPTED).await.unwrap();
        assert!(world.store().find(&hash).await.unwrap().is_none(), "a key that nobody can see is alive");
    });
}
