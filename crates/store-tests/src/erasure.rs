//! The end of a tenant.

use crate::samples::{NOW, call, record, run};
use crate::{Backend, World, records, runs};
use audit::note::SignedCheckpoint;
use context::{CredentialIndex, IndexedSubject, KeyedHash};
use serde_json::json;
use store::{
    AuditTrail, CallKind, Commit, Mark, PlatformStore, StoreError, TenantLifecycle, UsageStore, WorkIndex,
    WorkKind,
};

async fn fill<B: Backend>(world: &World<B>) {
    for (at, (tenant, word)) in (0..).zip(world.tenants()) {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                records::create(store, &tenant, record(1, json!({"who": word}))).await.unwrap();
                runs::create(store, &tenant, run(1, crate::samples::id(1), word), None).await.unwrap();
                let commit =
                    Commit::default().and_mark(Mark::Open { kind: WorkKind::Run, id: [at; 16], due: None });
                store.begin_call(&tenant, &call(1, CallKind::Model, word, NOW), commit).await.unwrap();
                let hook =
                    IndexedSubject::Hook { id: crate::samples::id(1), workflow: crate::samples::id(1) };
                store.index_credential(&tenant, KeyedHash([at; 32]), hook, None).await.unwrap();
            })
            .await;
    }
}

pub async fn nothing_is_left_to_open<B: Backend>(world: World<B>) {
    fill(&world).await;
    let store = world.store();
    // Whoever is inside when it happens is out with everybody else.
    let inside = world.fixture.owner(world.one).await;
    let key = world.visit(world.one, async |tenant| crate::audit_trail::key(store, &tenant).await).await;
    let events = world
        .visit(world.one, async |tenant| {
            crate::audit_trail::checkpoint(store, &tenant).await.checkpoint().size
        })
        .await;
    let receipt = store.erase(&world.operator, world.one).await.unwrap();
    assert_eq!((receipt.tenant, receipt.audit_events), (world.one, events));
    assert!(!receipt.places.is_empty());
    let last = SignedCheckpoint::open(&receipt.final_checkpoint, &key).unwrap();
    assert_eq!(last.checkpoint().size, events);

    assert_eq!(store.tenant(&world.operator, world.one).await, Err(StoreError::NotFound));
    assert!(store.standing(world.one).await.unwrap().is_none());
    assert!(store.find(&KeyedHash([0; 32])).await.unwrap().is_none());
    assert_eq!(store.erase(&world.operator, world.one).await.err(), Some(StoreError::NotFound));
    let pending = store.pending(WorkKind::Run).await.unwrap();
    assert_eq!(pending.iter().map(|work| work.tenant).collect::<Vec<_>>(), [world.two]);
    inside
        .enter(async |tenant| {
            let refused = Some(StoreError::TenantUnavailable);
            assert_eq!(records::get(store, &tenant, 1).await.err(), refused);
            assert_eq!(records::create(store, &tenant, record(2, json!({}))).await.err(), refused);
            assert_eq!(store.append_events(&tenant, Vec::new()).await.err(), refused);
            let hook = IndexedSubject::Hook { id: crate::samples::id(1), workflow: crate::samples::id(1) };
            let indexed = store.index_credential(&tenant, KeyedHash([9; 32]), hook, None).await;
            assert_eq!(indexed, Err(StoreError::NotFound));
        })
        .await;
}

pub async fn an_id_is_never_used_again<B: Backend>(world: World<B>) {
    fill(&world).await;
    world.store().erase(&world.operator, world.one).await.unwrap();
    for _ in 0..2 {
        let again = world.create(world.one, None).await;
        assert!(matches!(again, Err(StoreError::Exists(_))), "{again:?}");
    }
    assert_eq!(world.store().tenant(&world.operator, world.one).await, Err(StoreError::NotFound));
}

pub async fn the_neighbour_stays<B: Backend>(world: World<B>) {
    fill(&world).await;
    world.store().erase(&world.operator, world.one).await.unwrap();
    let world = world.reopen_if_it_survives().await;
    assert!(world.store().find(&KeyedHash([1; 32])).await.unwrap().is_some());
    world
        .visit(world.two, async |tenant| {
            let kept = records::get(world.store(), &tenant, 1).await.unwrap();
            assert_eq!(kept.data["who"], "bert");
            assert!(runs::get(world.store(), &tenant, 1).await.is_ok());
            crate::audit_trail::append(world.store(), &tenant, &["later"]).await;
            crate::audit_trail::verified(world.store(), &tenant, None).await;
        })
        .await;
}
