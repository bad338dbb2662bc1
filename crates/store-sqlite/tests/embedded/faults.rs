//! A journal that cannot write for a while: what was refused has not happened, and what was not has.

use crate::folder::Embedded;
use crate::journal_file::JournalFile;
use context::Tenant;
use futures::future::join_all;
use serde_json::json;
use std::collections::BTreeSet;
use store::{AuditQuery, AuditTrail as _, StoreError};
use store_tests::samples::{draft, record};
use store_tests::{World, audit_trail, records};

/// Makes the journal refuse entries, all of them or those that the condition holds for.
fn refuse(journal: &JournalFile, condition: &str) {
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON entry WHEN {condition}
         BEGIN SELECT RAISE(ABORT, 'the disk says no'); END"
    );
    journal.change(&trigger, &[]);
}

fn accept(journal: &JournalFile) {
    journal.change("DROP TRIGGER refuse", &[]);
}

#[test]
fn what_the_journal_refused_has_not_happened() {
    World::<Embedded>::run(async |world| {
        let store = world.store();
        let journal = JournalFile::open(&world.backend.folder());
        for (tenant, word) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    records::create(store, &tenant, record(1, json!({"who": word}))).await.unwrap();
                    let before = audit_trail::checkpoint(store, &tenant).await.note().to_string();
                    refuse(&journal, "1");
                    let writes =
                        (2..20).map(|number| records::create(store, &tenant, record(number, json!({}))));
                    for answer in join_all(writes).await {
                        assert_eq!(answer.err(), Some(StoreError::Unavailable));
                    }
                    let appended = store.append_events(&tenant, vec![draft(&tenant, "lost")]).await;
                    assert_eq!(appended, Err(StoreError::Unavailable));
                    // What is there can be read meanwhile.
                    assert!(records::get(store, &tenant, 1).await.is_ok());
                    let report = audit_trail::verified(store, &tenant, Some(&before)).await;
                    assert_eq!(report.events, audit_trail::FIRST + 1);
                    accept(&journal);
                    assert_eq!(records::get(store, &tenant, 2).await.err(), Some(StoreError::NotFound));
                    records::create(store, &tenant, record(2, json!({}))).await.unwrap();
                    let report = audit_trail::verified(store, &tenant, Some(&before)).await;
                    assert_eq!(report.events, audit_trail::FIRST + 2);
                })
                .await;
        }
        let world = world.reopen().await;
        for (tenant, _) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    assert!(records::get(world.store(), &tenant, 2).await.is_ok());
                    assert_eq!(
                        records::get(world.store(), &tenant, 3).await.err(),
                        Some(StoreError::NotFound)
                    );
                    audit_trail::verified(world.store(), &tenant, None).await;
                })
                .await;
        }
    });
}

/// The journal refuses a quarter of all entries, so that a thousand refusals are no bad luck.
const TRIES: usize = 1000;

/// Writes until it is acknowledged, by both ways that lead into the journal.
async fn insist(world: &World<Embedded>, tenant: &Tenant<'_>, number: u8) {
    let mut made = Err(StoreError::Unavailable);
    for _ in 0..TRIES {
        made = records::create(world.store(), tenant, record(number, json!({}))).await.map(drop);
        if made != Err(StoreError::Unavailable) {
            break;
        }
    }
    assert_eq!(made, Ok(()));
    let name = format!("append {number}");
    for _ in 0..TRIES {
        if world.store().append_events(tenant, vec![draft(tenant, &name)]).await.is_ok() {
            return;
        }
    }
    panic!("{name} was never written");
}

#[test]
fn a_journal_that_fails_now_and_then_numbers_every_event_once() {
    World::<Embedded>::run(async |world| {
        let journal = JournalFile::open(&world.backend.folder());
        refuse(&journal, "abs(random()) % 4 = 0");
        let both = world.tenants().map(|(tenant, _)| {
            let world = &world;
            async move {
                let visit = async |tenant: Tenant<'_>| {
                    join_all((0..40).map(|number| insist(world, &tenant, number))).await;
                };
                world.visit(tenant, visit).await;
            }
        });
        join_all(both).await;
        accept(&journal);
        for (tenant, _) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    for number in 0..40 {
                        assert!(records::get(world.store(), &tenant, number).await.is_ok());
                    }
                    let report = audit_trail::verified(world.store(), &tenant, None).await;
                    assert_eq!(report.events, audit_trail::FIRST + 80);
                    let query = AuditQuery { action: Some("sample".into()), ..AuditQuery::default() };
                    let (events, _) =
                        audit_trail::list(world.store(), &tenant, &query, 500, None).await.unwrap();
                    let about: BTreeSet<_> =
                        events.iter().map(|event| event.view["resource"]["id"].to_string()).collect();
                    assert_eq!(about.len(), 80);
                })
                .await;
        }
    });
}
