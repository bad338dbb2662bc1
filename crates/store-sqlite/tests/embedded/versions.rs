//! Folders that earlier versions wrote open, and are brought to the present version.
//!
//! `tests/fixtures/version-N/` is a data folder with its master key, as the program wrote it when tenants'
//! tables had version N. Whoever raises the version raises `PRESENT` with it; the first run then writes the
//! new version's folder, to be checked in while that version is the present one. Versions 1 to 3 were enciphered anew
//! when pages came to be authenticated with HMAC-SHA-256.

use crate::folder::{Embedded, data};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use store::{CallKind, CallStatus, Commit, RunStatus, TenantLifecycle as _, UsageStore as _};
use store_tests::samples::{NOW, call, outcome, record, run};
use store_tests::{World, audit_trail, records, runs, usage};
use tempfile::TempDir;

/// The version that the present program writes, as `LATEST` in the tenant's schema.
const PRESENT: u32 = 4;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

async fn fill(world: &World<Embedded>) {
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                records::create(store, &tenant, record(1, json!({"who": word}))).await.unwrap();
                let stored = run(1, store_tests::samples::id(1), word);
                runs::create(store, &tenant, stored.clone(), Some("delivery")).await.unwrap();
                runs::advance(store, &tenant, &stored.run, RunStatus::Running, word).await.unwrap();
                let call = call(1, CallKind::Model, word, NOW);
                store.begin_call(&tenant, &call, Commit::default()).await.unwrap();
                let settled = outcome(CallStatus::Settled, "0.1");
                store.end_call(&tenant, &call, settled, Commit::default()).await.unwrap();
                audit_trail::append(store, &tenant, &[word]).await;
            })
            .await;
    }
    // One tenant's tables are in its file, and the other's also in the journal.
    world.store().close().await;
    world
        .visit(world.two, async |tenant| {
            records::create(world.store(), &tenant, record(2, json!({"who": "bert"}))).await.unwrap();
        })
        .await;
}

#[test]
fn every_version_up_to_the_present_has_its_fixture() {
    for version in 1..=PRESENT {
        let folder = fixtures().join(format!("version-{version}"));
        if version == PRESENT && !folder.exists() {
            write_fixture(&folder);
        }
        assert!(data(&folder).join("platform.db").exists(), "{version}");
    }
    assert!(!fixtures().join(format!("version-{}", PRESENT + 1)).exists(), "raise PRESENT");
}

#[test]
fn what_every_earlier_version_wrote_is_read() {
    // The same seed makes the same tenants as when the fixture was written.
    World::<Embedded>::run(async |mut world| {
        for version in 1..=PRESENT {
            let place = TempDir::new().unwrap();
            crate::crash::copy(&fixtures().join(format!("version-{version}")), place.path());
            let key = place.path().join("master.key");
            fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            world.backend = Embedded::at(place, world.env()).await;
            for _ in 0..2 {
                for (tenant, word) in world.tenants() {
                    world
                        .visit(tenant, async |tenant| {
                            let store = world.store();
                            assert_eq!(records::get(store, &tenant, 1).await.unwrap().data["who"], word);
                            assert_eq!(runs::get(store, &tenant, 1).await.unwrap().cursor, 2);
                            let rows = usage::usage(store, &tenant, &[]).await;
                            assert_eq!(rows[0].cost_usd, "0.1".parse().unwrap());
                            audit_trail::verified(store, &tenant, None).await;
                            audit_trail::append(store, &tenant, &["after"]).await;
                            audit_trail::verified(store, &tenant, None).await;
                        })
                        .await;
                }
                let found = world
                    .visit(world.two, async |tenant| records::get(world.store(), &tenant, 2).await)
                    .await;
                assert!(found.is_ok());
                world = world.reopen().await;
            }
        }
    });
}

#[test]
fn the_copy_of_a_migration_is_kept_for_a_week_and_goes_with_its_tenant() {
    World::<Embedded>::run(async |mut world| {
        let place = TempDir::new().unwrap();
        crate::crash::copy(&fixtures().join("version-1"), place.path());
        let key = place.path().join("master.key");
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        world.backend = Embedded::at(place, world.env()).await;
        let place = world.backend.place();
        let copy =
            |tenant| data(place.path()).join(format!("regions/local/tenants/{tenant}.before-migration.db"));
        for (tenant, _) in world.tenants() {
            world
                .visit(tenant, async |tenant| drop(records::get(world.store(), &tenant, 1).await.unwrap()))
                .await;
            assert!(copy(tenant).exists());
        }
        let aged = |tenant, days: u64| {
            let age = Duration::from_secs(days * 24 * 3600);
            let at = UNIX_EPOCH + Duration::from_millis(NOW.millis().unsigned_abs()) - age;
            fs::File::options().write(true).open(copy(tenant)).unwrap().set_modified(at).unwrap();
        };
        aged(world.one, 6);
        world.store().maintain().await;
        assert!(copy(world.one).exists() && copy(world.two).exists());
        world = world.reopen().await;
        aged(world.one, 8);
        world.store().maintain().await;
        assert!(!copy(world.one).exists() && copy(world.two).exists());
        world.store().erase(&world.operator, world.two).await.unwrap();
        assert!(!copy(world.two).exists());
    });
}

fn write_fixture(target: &Path) {
    World::<Embedded>::run(async |world| {
        fill(&world).await;
        let place = world.backend.place();
        // Dropped and not closed: what the journal has and no file has stays in the journal.
        drop(world);
        crate::crash::copy(place.path(), target);
        fs::remove_file(data(target).join("lock")).unwrap();
    });
}
