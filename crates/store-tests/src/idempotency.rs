//! Idempotency keys.

use crate::samples::{claim, commit, record};
use crate::{Backend, Store, World, out};
use context::{Create, Tenant, Update, on};
use futures::future::join_all;
use serde_json::{Map, Value, json};
use store::{
    Commit, IdempotencyClaim, IdempotencyStore, PlannedAnswer, RecordChange, RecordStore, Remembered,
    StoreError,
};

async fn write<S: Store>(
    store: &S,
    tenant: &Tenant<'_>,
    number: u8,
    claim: IdempotencyClaim,
) -> Result<(), StoreError> {
    let access = tenant.authorize::<Create<on::Record>>().unwrap();
    let commit = commit(tenant, "claimed").claiming(Some(claim));
    store.create_record(&access, record(number, json!({})), commit).await.map(drop)
}

async fn remembered<S: Store>(
    store: &S,
    tenant: &Tenant<'_>,
    claim: &IdempotencyClaim,
) -> Option<Remembered> {
    let now = claim.until.minus(std::time::Duration::from_secs(1));
    store.remembered(tenant, &claim.key, now).await.unwrap().map(|found| out(tenant, found))
}

pub async fn a_key_is_claimed_once<B: Backend>(world: World<B>) {
    let claim = claim(&world.env(), 1);
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                assert_eq!(remembered(store, &tenant, &claim).await, None);
                assert_eq!(write(store, &tenant, 1, claim.clone()).await, Ok(()));
                assert_eq!(write(store, &tenant, 2, claim.clone()).await, Err(StoreError::Claimed));
                let other_body = IdempotencyClaim { request: [9; 32], ..claim.clone() };
                assert_eq!(write(store, &tenant, 3, other_body).await, Err(StoreError::Claimed));
                let open = Remembered { request: claim.request, answer: None };
                assert_eq!(remembered(store, &tenant, &claim).await, Some(open));
                assert_eq!(crate::records::get(store, &tenant, 2).await.err(), Some(StoreError::NotFound));
            })
            .await;
    }
}

pub async fn a_key_is_free_after_its_time<B: Backend>(world: World<B>) {
    let hours = |hours: i64| world.fixture.clock().advance(hours * 3_600_000);
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let first = claim(&world.env(), 1);
                write(world.store(), &tenant, 1, first.clone()).await.unwrap();
                hours(23);
                let again = write(world.store(), &tenant, 2, claim(&world.env(), 1)).await;
                assert_eq!(again, Err(StoreError::Claimed));
                hours(1);
                let found = world.store().remembered(&tenant, &first.key, world.env().now()).await.unwrap();
                assert!(found.is_none());
                assert_eq!(write(world.store(), &tenant, 2, claim(&world.env(), 1)).await, Ok(()));
            })
            .await;
    }
}

pub async fn answers_are_remembered<B: Backend>(world: World<B>) {
    let claim = claim(&world.env(), 1);
    for (tenant, word) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                write(world.store(), &tenant, 1, claim.clone()).await.unwrap();
                let body = word.as_bytes().to_vec();
                world.store().remember(&tenant, &claim, 201, body).await.unwrap();
                assert_eq!(write(world.store(), &tenant, 2, claim.clone()).await, Err(StoreError::Claimed));
            })
            .await;
    }
    for (tenant, word) in world.tenants() {
        let found =
            world.visit(tenant, async |tenant| remembered(world.store(), &tenant, &claim).await).await;
        let answer = Some((201, word.as_bytes().to_vec()));
        assert_eq!(found, Some(Remembered { request: claim.request, answer }));
    }
}

pub async fn a_key_is_given_back<B: Backend>(world: World<B>) {
    let claim = claim(&world.env(), 1);
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                write(store, &tenant, 1, claim.clone()).await.unwrap();
                store.give_back(&tenant, &claim).await.unwrap();
                assert_eq!(remembered(store, &tenant, &claim).await, None);
                assert_eq!(write(store, &tenant, 2, claim.clone()).await, Ok(()));
            })
            .await;
    }
}

pub async fn an_answer_known_before_is_part_of_the_write<B: Backend>(world: World<B>) {
    let form =
        |status| PlannedAnswer::Form { status, members: Map::from_iter([("data".into(), Value::Null)]) };
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                let known = IdempotencyClaim { answer: form(201), ..claim(&world.env(), 1) };
                write(store, &tenant, 1, known.clone().answered(&json!({"id": 7, "data": "x"})))
                    .await
                    .unwrap();
                let (status, body) = remembered(store, &tenant, &known).await.unwrap().answer.unwrap();
                assert_eq!((status, body.as_slice()), (201, br#"{"id":7,"data":null}"#.as_slice()));

                // What the write itself makes is known within it.
                let made = IdempotencyClaim { answer: form(200), ..claim(&world.env(), 2) };
                let access = tenant.authorize::<Update<on::Record>>().unwrap();
                let commit = commit(&tenant, "claimed").claiming(Some(made.clone()));
                let written = record(1, json!({}));
                let change = RecordChange::Merge(Map::from_iter([("b".into(), json!(1))]));
                let (now, name) = (world.env().now(), &written.collection);
                store.change_record(&access, name, written.id, change, None, now, commit).await.unwrap();
                let (status, body) = remembered(store, &tenant, &made).await.unwrap().answer.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!((status, &body["version"], &body["data"]), (200, &json!(2), &Value::Null));
            })
            .await;
    }
}

pub async fn a_failed_write_claims_nothing<B: Backend>(world: World<B>) {
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let store = world.store();
                write(store, &tenant, 1, claim(&world.env(), 1)).await.unwrap();
                let second = claim(&world.env(), 2);
                let failed = write(store, &tenant, 1, second.clone()).await;
                assert!(matches!(failed, Err(StoreError::Exists(_))), "{failed:?}");
                assert_eq!(remembered(store, &tenant, &second).await, None);
                assert_eq!(write(store, &tenant, 2, second).await, Ok(()));
            })
            .await;
    }
}

pub async fn claimed_once_also_at_once<B: Backend>(world: World<B>) {
    let claim = claim(&world.env(), 1);
    for (tenant, _) in world.tenants() {
        world
            .visit(tenant, async |tenant| {
                let tries = (1..=16).map(|number| write(world.store(), &tenant, number, claim.clone()));
                let answers = join_all(tries).await;
                assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
                let refused = |answer: &&Result<(), StoreError>| **answer == Err(StoreError::Claimed);
                assert_eq!(answers.iter().filter(refused).count(), 15, "{answers:?}");
                let commit = Commit::default().claiming(Some(claim.clone()));
                let access = tenant.authorize::<Create<on::Record>>().unwrap();
                let late = world.store().create_record(&access, record(99, json!({})), commit).await;
                assert_eq!(late.err(), Some(StoreError::Claimed));
            })
            .await;
    }
}
