//! Keys derived from a tenant's, and marks of work under way.

use crate::samples::{NOW, call, id, outcome, run};
use crate::{Backend, World};
use context::{Create, on};
use ids::{CallId, Id, RunId, TenantId};
use std::collections::BTreeSet;
use store::TenantKeyring;
use store::{
    CallKind, CallStatus, Commit, KeyPurpose, Mark, PendingWork, RunStore, UsageStore, WorkIndex, WorkKind,
};

/// Every key of both tenants.
pub async fn all<B: Backend>(world: &World<B>) -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    for (tenant, _) in world.tenants() {
        for purpose in [KeyPurpose::Vault, KeyPurpose::Cursor, KeyPurpose::Cache] {
            let key = world.visit(tenant, async |tenant| world.store().key(&tenant, purpose).await).await;
            all.push(*key.unwrap().expose());
        }
    }
    all
}

pub async fn differ_by_tenant_and_purpose<B: Backend>(world: World<B>) {
    let keys = all(&world).await;
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 6);
    assert_eq!(all(&world).await, keys);
}

pub async fn work_is_marked_until_it_ends<B: Backend>(world: World<B>) {
    let store = world.store();
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let access = tenant.authorize::<Create<on::Run>>().unwrap();
                let mark = Mark::Open { kind: WorkKind::Run, id: id::<RunId>(1).to_bytes(), due: Some(NOW) };
                let commit = Commit::default().and_mark(mark);
                store.create_run(&access, run(1, id(1), word), None, commit).await.unwrap();
                let call = call(2, CallKind::Model, word, NOW);
                store.begin_call(&tenant, &call, Commit::default()).await.unwrap();
            })
            .await;
    }
    let both = |number: [u8; 16], due| {
        let mut both = [world.one, world.two].map(|tenant| PendingWork { tenant, id: number, due });
        both.sort_by_key(|work| work.tenant);
        both.to_vec()
    };
    let pending = async |kind| {
        let mut pending = store.pending(kind).await.unwrap();
        pending.sort_by_key(|work: &PendingWork| (work.id, work.tenant));
        pending
    };
    let begun = call(2, CallKind::Model, "", NOW);
    assert_eq!(pending(WorkKind::Run).await, both(id::<RunId>(1).to_bytes(), Some(NOW)));
    let lease = Some(begun.lease_until);
    assert_eq!(pending(WorkKind::Call).await, both(id::<CallId>(2).to_bytes(), lease));
    let only = |tenant: TenantId, all: Vec<PendingWork>| all.into_iter().all(|work| work.tenant == tenant);
    world
        .visit(world.one, async |tenant| {
            let settled = outcome(CallStatus::Settled, "0.1");
            store.end_call(&tenant, &begun, settled, Commit::default()).await.unwrap();
            let closed = Mark::Closed { kind: WorkKind::Run, id: id::<RunId>(1).to_bytes() };
            let first = run(1, id(1), "").run;
            let access = tenant.authorize::<context::Update<on::Run>>().unwrap();
            let update = crate::samples::update(&first, store::RunStatus::Succeeded, "anna");
            // A move that comes too late marks nothing.
            let late =
                store::RunUpdate { run: store::Run { cursor: 9, ..update.run.clone() }, ..update.clone() };
            assert!(store.move_run(&access, late, Commit::default().and_mark(closed)).await.is_err());
            assert_eq!(pending(WorkKind::Run).await.len(), 2);
            store.move_run(&access, update, Commit::default().and_mark(closed)).await.unwrap();
        })
        .await;
    for kind in [WorkKind::Run, WorkKind::Call] {
        let left = pending(kind).await;
        assert!(left.len() == 1 && only(world.two, left));
    }
}

pub async fn who_has_stored_something_is_listed<B: Backend>(world: World<B>) {
    let store = world.store();
    let third = world.fixture.tenant(metering::plan::Limits::default());
    world.create(third, None).await.unwrap();
    assert_eq!(store.tenants_at_rest(None, 50).await, Ok(Vec::new()));
    let mut stored = vec![world.two, third];
    stored.sort();
    for tenant in &stored {
        world
            .visit(*tenant, async |tenant| {
                let made = crate::samples::record(1, serde_json::json!({}));
                crate::records::create(store, &tenant, made).await.unwrap();
            })
            .await;
    }
    assert_eq!(store.tenants_at_rest(None, 50).await, Ok(stored.clone()));
    assert_eq!(store.tenants_at_rest(None, 1).await, Ok(stored[..1].to_vec()));
    assert_eq!(store.tenants_at_rest(Some(stored[0]), 50).await, Ok(stored[1..].to_vec()));
    assert_eq!(store.tenants_at_rest(Some(stored[1]), 50).await, Ok(Vec::new()));
}
