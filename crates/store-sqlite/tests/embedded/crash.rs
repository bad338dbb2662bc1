//! What a crash leaves: a copy of the open folder is what the disk holds after `kill -9`.

use crate::folder::{Embedded, data, open};
use crate::journal_file::JournalFile;
use context::Tenant;
use ids::TenantId;
use serde_json::json;
use std::fs;
use std::path::Path;
use store::{CallKind, CallStatus, Commit, RunStatus, StoreError, UsageStore};
use store_sqlite::EmbeddedStore;
use store_tests::samples::{NOW, call, outcome, record, run};
use store_tests::{World, audit_trail, records, runs, usage};
use tempfile::TempDir;

/// Copies a folder as it is.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Writes the round's records, runs, calls and events of a tenant.
async fn work(store: &EmbeddedStore, tenant: &Tenant<'_>, round: u8, word: &str) {
    records::create(store, tenant, record(round, json!({"who": word}))).await.unwrap();
    let stored = run(round, store_tests::samples::id(1), word);
    runs::create(store, tenant, stored.clone(), Some(&format!("delivery {round}"))).await.unwrap();
    runs::advance(store, tenant, &stored.run, RunStatus::Running, word).await.unwrap();
    let call = call(round, CallKind::Model, word, NOW);
    store.begin_call(tenant, &call, Commit::default()).await.unwrap();
    store.end_call(tenant, &call, outcome(CallStatus::Settled, "0.1"), Commit::default()).await.unwrap();
    audit_trail::append(store, tenant, &[word]).await;
}

/// Everything of the rounds up to and with this one is there, and nothing twice.
async fn check(store: &EmbeddedStore, tenant: &Tenant<'_>, rounds: u8, word: &str, earlier: &str) {
    for round in 1..=rounds {
        assert_eq!(records::get(store, tenant, round).await.unwrap().data["who"], word);
        assert_eq!(runs::get(store, tenant, round).await.unwrap().cursor, 2);
    }
    assert_eq!(records::get(store, tenant, rounds + 1).await.err(), Some(StoreError::NotFound));
    let rows = usage::usage(store, tenant, &[]).await;
    assert_eq!(rows[0].ai_calls, u64::from(rounds));
    assert_eq!(rows[0].cost_usd, format!("0.{rounds}").parse().unwrap());
    let report = audit_trail::verified(store, tenant, Some(earlier)).await;
    assert_eq!(report.events, audit_trail::FIRST + 4 * u64::from(rounds));
}

/// Checkpoints of both tenants.
async fn checkpoints(
    world: &World<Embedded>,
    store: &EmbeddedStore,
) -> Vec<(TenantId, &'static str, String)> {
    let mut all = Vec::new();
    for (tenant, word) in world.tenants() {
        let signed = world.visit(tenant, async |tenant| audit_trail::checkpoint(store, &tenant).await).await;
        all.push((tenant, word, signed.note().to_string()));
    }
    all
}

#[test]
fn an_image_of_the_open_folder_has_all_that_was_acknowledged() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        for round in 1..=6 {
            for (tenant, word) in world.tenants() {
                world.visit(tenant, async |tenant| work(store, &tenant, round, word).await).await;
            }
            match round {
                // Nothing open; everything folded as far as it goes; open again.
                2 => store.close().await,
                4 => {
                    world.fixture.clock().advance(11_000);
                    store.maintain().await;
                }
                _ => {}
            }
            let before = checkpoints(&world, store).await;
            let image = TempDir::new().unwrap();
            copy(world.backend.place().path(), image.path());
            // A second crash while the first is being recovered from.
            for _ in 0..2 {
                let reopened = open(image.path(), &data(image.path()), world.env()).await.unwrap();
                for (tenant, word, earlier) in &before {
                    let visit =
                        async |tenant: Tenant<'_>| check(&reopened, &tenant, round, word, earlier).await;
                    world.visit(*tenant, visit).await;
                }
                let next = TempDir::new().unwrap();
                copy(image.path(), next.path());
                let again = open(next.path(), &data(next.path()), world.env()).await.unwrap();
                let (tenant, word, earlier) = &before[0];
                world.visit(*tenant, async |tenant| check(&again, &tenant, round, word, earlier).await).await;
            }
        }
    });
}

#[test]
fn what_came_after_an_outcome_is_never_there_without_it() {
    World::<Embedded>::run(async |world| {
        let begin = async |tenant: &Tenant<'_>, number: u8| {
            let call = call(number, CallKind::Model, "anna", NOW);
            world.store().begin_call(tenant, &call, Commit::default()).await.unwrap();
            call
        };
        world
            .visit(world.one, async |tenant| {
                for number in 1..=10 {
                    let ended = begin(&tenant, 2 * number).await;
                    let settled = outcome(CallStatus::Settled, "0.1");
                    let placed =
                        world.store().place_outcome(&tenant, &ended, settled, Commit::default()).await;
                    // What the freed reservation lets in is durable, and nobody waited for the outcome.
                    begin(&tenant, 2 * number + 1).await;
                    let image = TempDir::new().unwrap();
                    copy(world.backend.place().path(), image.path());
                    let reopened = open(image.path(), &data(image.path()), world.env()).await.unwrap();
                    let (_, open) =
                        store_tests::out(&tenant, reopened.call(&tenant, ended.id).await.unwrap());
                    assert!(!open);
                    placed.unwrap().written().await.unwrap();
                }
            })
            .await;
    });
}

#[test]
fn a_torn_end_of_the_journals_log_loses_nothing_that_was_acknowledged_before_it() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        for (tenant, word) in world.tenants() {
            world.visit(tenant, async |tenant| work(store, &tenant, 1, word).await).await;
        }
        let before = checkpoints(&world, store).await;
        let (journal, tenants) = ("regions/local/journal.db-wal", "regions/local/tenants");
        for torn in [&[0_u8; 5000][..], &[0xa5; 33], b"x"] {
            let image = TempDir::new().unwrap();
            copy(world.backend.place().path(), image.path());
            let append = |path: &Path| {
                let mut bytes = fs::read(path).unwrap();
                bytes.extend(torn);
                fs::write(path, bytes).unwrap();
            };
            append(&data(image.path()).join(journal));
            for file in fs::read_dir(data(image.path()).join(tenants)).unwrap() {
                let path = file.unwrap().path();
                if path.to_str().unwrap().ends_with("-wal") {
                    append(&path);
                }
            }
            let reopened = open(image.path(), &data(image.path()), world.env()).await.unwrap();
            for (tenant, word, earlier) in &before {
                let visit = async |tenant: Tenant<'_>| check(&reopened, &tenant, 1, word, earlier).await;
                world.visit(*tenant, visit).await;
            }
        }
    });
}

#[test]
fn a_tenants_file_that_lost_its_log_folds_again() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        for round in 1..=3 {
            for (tenant, word) in world.tenants() {
                world.visit(tenant, async |tenant| work(store, &tenant, round, word).await).await;
            }
        }
        let before = checkpoints(&world, store).await;
        let image = TempDir::new().unwrap();
        copy(world.backend.place().path(), image.path());
        // What a power loss may take from a tenant's file: everything since its last checkpoint.
        for file in fs::read_dir(data(image.path()).join("regions/local/tenants")).unwrap() {
            let path = file.unwrap().path();
            if path.to_str().unwrap().ends_with("-wal") {
                fs::remove_file(path).unwrap();
            }
        }
        let reopened = open(image.path(), &data(image.path()), world.env()).await.unwrap();
        for (tenant, word, earlier) in &before {
            world.visit(*tenant, async |tenant| check(&reopened, &tenant, 3, word, earlier).await).await;
        }
    });
}

#[test]
fn a_journal_that_lost_its_end_gives_no_number_twice() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        let image = TempDir::new().unwrap();
        for (tenant, word) in world.tenants() {
            world.visit(tenant, async |tenant| work(store, &tenant, 1, word).await).await;
        }
        store.close().await;
        copy(world.backend.place().path(), image.path());
        for (tenant, word) in world.tenants() {
            world.visit(tenant, async |tenant| work(store, &tenant, 2, word).await).await;
        }
        store.close().await;
        // The tenants' files are ahead of the journal.
        let tenants = "regions/local/tenants";
        copy(&world.backend.folder().join(tenants), &data(image.path()).join(tenants));
        let before = checkpoints(&world, store).await;
        for appends in 1..=2 {
            let reopened = open(image.path(), &data(image.path()), world.env()).await.unwrap();
            for (tenant, word, earlier) in &before {
                world
                    .visit(*tenant, async |tenant| {
                        // Through the journal alone, where the number is all that tells new from old.
                        audit_trail::append(&reopened, &tenant, &[word]).await;
                        let report = audit_trail::verified(&reopened, &tenant, Some(earlier)).await;
                        assert_eq!(report.events, audit_trail::FIRST + 8 + appends);
                    })
                    .await;
            }
            reopened.close().await;
        }
        let reopened = open(image.path(), &data(image.path()), world.env()).await.unwrap();
        for (tenant, word, earlier) in &before {
            world
                .visit(*tenant, async |tenant| {
                    work(&reopened, &tenant, 3, word).await;
                    let report = audit_trail::verified(&reopened, &tenant, Some(earlier)).await;
                    assert_eq!(report.events, audit_trail::FIRST + 12 + 2);
                    assert!(records::get(&reopened, &tenant, 3).await.is_ok());
                })
                .await;
        }
    });
}

#[test]
fn no_number_is_given_twice_where_the_journal_is_empty_at_the_start() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        for round in 1..=3 {
            world.visit(world.one, async |tenant| work(store, &tenant, round, "one").await).await;
        }
        store.close().await;
        let image = TempDir::new().unwrap();
        copy(world.backend.place().path(), image.path());
        let folder = data(image.path());
        // What a tenant's file has taken over is forgotten, here all of it.
        let journal = JournalFile::open(&folder);
        let last = journal.last_number();
        assert!(journal.change("DELETE FROM entry", &[]) > 0);
        drop(journal);
        let after = open(image.path(), &folder, world.env()).await.unwrap();
        world.visit(world.one, async |tenant| work(&after, &tenant, 4, "one").await).await;
        let journal = JournalFile::open(&folder);
        assert!(journal.first_number() > last, "{} after {last}", journal.first_number());
    });
}
