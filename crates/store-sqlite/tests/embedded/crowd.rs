//! Many writers at once: all of it is there, and they share the waiting for the disk.

use crate::folder::Embedded;
use ids::TenantId;
use serde_json::json;
use std::sync::Arc;
use store_tests::samples::record;
use store_tests::{World, audit_trail, records};

const WRITERS: u8 = 64;
const EACH: u8 = 3;

async fn write(world: Arc<World<Embedded>>, tenant: TenantId, writer: u8) {
    world
        .visit(tenant, async |tenant| {
            for number in 0..EACH {
                let number = writer * EACH + number;
                let made = record(number, json!({"writer": writer}));
                records::create(world.store(), &tenant, made).await.unwrap();
                audit_trail::append(world.store(), &tenant, &["between"]).await;
            }
        })
        .await;
}

#[test]
fn sixty_four_writers_of_two_tenants_lose_nothing_and_share_commits() {
    World::<Embedded>::run(async |world| {
        let world = Arc::new(world);
        let before = world.store().journal_commits();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            for (tenant, _) in world.tenants() {
                let world = world.clone();
                tasks.spawn(async move { write(world, tenant, writer).await });
            }
        }
        // Reads, and the closing of idle databases, go on all the while.
        let closing = tokio::spawn({
            let world = world.clone();
            async move {
                loop {
                    world.store().close().await;
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            }
        });
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        closing.abort();
        let writes = u64::from(WRITERS) * u64::from(EACH);
        let commits = world.store().journal_commits() - before;
        // Each tenant wrote as many records and as many events, and forgetting what was folded commits too.
        assert!(commits < 2 * writes, "{commits} commits for {} writes", 4 * writes);
        for (tenant, _) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    for number in 0..WRITERS * EACH {
                        let found = records::get(world.store(), &tenant, number).await.unwrap();
                        assert_eq!(found.data["writer"], json!(number / EACH));
                    }
                    let report = audit_trail::verified(world.store(), &tenant, None).await;
                    assert_eq!(report.events, audit_trail::FIRST + 2 * writes);
                })
                .await;
        }
    });
}

/// Appends, and looks at once: what was acknowledged must be there whatever closes meanwhile.
async fn append_and_look(world: &World<Embedded>, tenant: TenantId, writer: usize) {
    world
        .visit(tenant, async |tenant| {
            for number in 0..60 {
                let name = format!("{writer}-{number}");
                audit_trail::append(world.store(), &tenant, &[&name]).await;
                let query = store::AuditQuery { resource: Some(name), ..store::AuditQuery::default() };
                let (found, _) = audit_trail::list(world.store(), &tenant, &query, 5, None).await.unwrap();
                assert_eq!(found.len(), 1);
            }
        })
        .await;
}

#[test]
fn what_was_acknowledged_is_seen_while_databases_close() {
    World::<Embedded>::run(async |world| {
        let world = Arc::new(world);
        for (tenant, _) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    records::create(world.store(), &tenant, record(1, json!({}))).await.unwrap();
                })
                .await;
        }
        let closing: Vec<_> = (0..2)
            .map(|_| {
                let world = world.clone();
                tokio::spawn(async move {
                    loop {
                        world.store().close().await;
                    }
                })
            })
            .collect();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..4 {
            for (tenant, _) in world.tenants() {
                let world = world.clone();
                tasks.spawn(async move { append_and_look(&world, tenant, writer).await });
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        closing.into_iter().for_each(|task| task.abort());
        for (tenant, _) in world.tenants() {
            world
                .visit(tenant, async |tenant| {
                    let report = audit_trail::verified(world.store(), &tenant, None).await;
                    assert_eq!(report.events, audit_trail::FIRST + 1 + 4 * 60);
                })
                .await;
        }
    });
}
