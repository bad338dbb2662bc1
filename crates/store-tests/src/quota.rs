//! The limit on what a tenant stores.

use crate::audit_trail::{FIRST, append, verified};
use crate::samples::{NOW, agent, call, outcome, record, record_id};
use crate::{Backend, World, records};
use context::{Create, Delete, Update, on};
use metering::plan::Limits;
use serde_json::json;
use store::{
    Agent, CallKind, CallStatus, Commit, Objects, RecordChange, RecordStore, StoreError, TenantLifecycle,
    UsageStore,
};

pub async fn full_is_read_only_and_audit_goes_on<B: Backend>(world: World<B>) {
    let store = world.store();
    const LIMIT: u64 = 2 << 20;
    world.fixture.set_limits(world.one, Limits { storage_bytes: Some(LIMIT), ..Limits::default() });
    let big = |number| record(number, json!({"text": "x".repeat(100_000)}));
    let filled = world
        .visit(world.one, async |tenant| {
            let access = tenant.authorize::<Create<on::Record>>().unwrap();
            for number in 1..=40 {
                match store.create_record(&access, big(number), Commit::default()).await {
                    Ok(_) => {}
                    Err(StoreError::QuotaExceeded) => return number,
                    Err(other) => panic!("{other}"),
                }
            }
            panic!("there was no end")
        })
        .await;
    // Most of the limit can be used, and none beyond it.
    assert!((11..=21).contains(&filled), "{filled}");
    assert!(store.stored_bytes(&world.operator, world.one).await.unwrap() <= LIMIT + (64 << 10));
    world
        .visit(world.one, async |tenant| {
            let update = tenant.authorize::<Update<on::Record>>().unwrap();
            let grown = RecordChange::Merge(crate::samples::object(json!({"more": "y".repeat(150_000)})));
            let id = record_id(1);
            let collection = records::contacts();
            let changed =
                store.change_record(&update, &collection, id, grown, None, NOW, Commit::default()).await;
            assert_eq!(changed.err(), Some(StoreError::QuotaExceeded));
            let create = tenant.authorize::<Create<on::Agent>>().unwrap();
            let agent = Agent { description: Some("x".repeat(150_000)), ..agent(1, "long") };
            let written = store.create(&create, &agent, Commit::default()).await;
            assert_eq!(written, Err(StoreError::QuotaExceeded));

            append(store, &tenant, &["audit goes on"]).await;
            let call = call(1, CallKind::Model, "small", NOW);
            store.begin_call(&tenant, &call, Commit::default()).await.unwrap();
            let settled = outcome(CallStatus::Settled, "0.1");
            store.end_call(&tenant, &call, settled, Commit::default()).await.unwrap();
            assert_eq!(verified(store, &tenant, None).await.events, FIRST + 1);

            let delete = tenant.authorize::<Delete<on::Record>>().unwrap();
            for number in 1..=3 {
                let id = record_id(number);
                store.delete_record(&delete, &collection, id, None, Commit::default()).await.unwrap();
            }
            records::create(store, &tenant, big(50)).await.unwrap();
        })
        .await;
    // The neighbour has no such limit.
    world
        .visit(world.two, async |tenant| {
            for number in 1..=filled {
                records::create(store, &tenant, big(number)).await.unwrap();
            }
        })
        .await;
}
