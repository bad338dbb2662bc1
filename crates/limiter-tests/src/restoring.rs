//! What was dropped or lost comes back from the rows.

use crate::{Backend, World, code, hourly, usd};
use env::Timestamp;
use errors::Code;
use limiter::Kind;
use metering::plan::Limits;
use money::Usd;
use std::sync::Arc;
use store::CallStatus;

pub async fn what_a_crash_left_open_stays_reserved_until_its_row_says_unknown<B: Backend>(world: World<B>) {
    let mut world = world;
    let (_, owner) = world.owner(Limits::default()).await;
    let lost = owner
        .clone()
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            world.begin(&tenant, "0.75").await.unwrap()
        })
        .await;
    world.restart().await;
    owner
        .enter(async |tenant| {
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (usd("0.75"), Usd::ZERO));
            assert_eq!(code(world.begin(&tenant, "0.5").await.unwrap_err()), Code::BudgetExceeded);
            let ai = world.limiter.standing(&tenant, Kind::Ai).await.unwrap();
            assert_eq!(ai.parallel.under_way, 0, "a lost call takes no place");
            world.rows.end(tenant.id(), lost, CallStatus::Unknown, usd("0.75"));
            world.limiter.settle(&tenant, lost, usd("0.75")).await.unwrap();
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (Usd::ZERO, usd("0.75")));
        })
        .await;
}

pub async fn one_reader_restores_for_all_and_a_failure_admits_nothing<B: Backend>(world: World<B>) {
    let world = Arc::new(world);
    let (_, owner) = world.owner(hourly(9)).await;
    world.rows.fail(true);
    owner
        .clone()
        .enter(async |tenant| {
            assert_eq!(code(world.begin(&tenant, "0").await.unwrap_err()), Code::Unavailable);
        })
        .await;
    world.rows.fail(false);
    let tasks: Vec<_> = (0..9)
        .map(|_| {
            let (world, owner) = (world.clone(), owner.clone());
            tokio::spawn(owner.enter_boxed(move |tenant| {
                Box::pin(async move { world.begin(&tenant, "0").await.map(drop) })
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.rows.readings(), 1);
    let now: Timestamp = world.fixture.env().now();
    assert_eq!(now, admission_fixture::START);
}

pub async fn idle_tenants_are_dropped_and_restored<B: Backend>(world: World<B>) {
    let (_, busy) = world.owner(hourly(9)).await;
    let call = busy.clone().enter(async |tenant| world.begin(&tenant, "0").await.unwrap()).await;
    let (idle_id, idle) = world.owner(hourly(9)).await;
    idle.clone()
        .enter(async |tenant| {
            let call = world.begin(&tenant, "0").await.unwrap();
            world.end(&tenant, call, "0").await;
        })
        .await;
    world.fixture.clock().advance(601_000);
    world.sweep().await;
    world.backend.drop_idle(idle_id).await;
    let readings = world.rows.readings();
    idle.enter(async |tenant| {
        let ai = world.limiter.standing(&tenant, Kind::Ai).await.unwrap();
        assert_eq!(ai.standing.remaining, Some(8), "what was dropped is restored");
    })
    .await;
    assert_eq!(world.rows.readings(), readings + 1);
    busy.enter(async |tenant| {
        let ai = world.limiter.standing(&tenant, Kind::Ai).await.unwrap();
        assert_eq!(ai.parallel.under_way, 1, "a tenant with a call under way stays");
        world.end(&tenant, call, "0").await;
    })
    .await;
    assert_eq!(world.rows.readings(), readings + 1);
}

pub async fn nothing_of_a_forgotten_tenant_is_left<B: Backend>(world: World<B>) {
    let (id, owner) = world.owner(hourly(9)).await;
    owner
        .clone()
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            let call = world.begin(&tenant, "0.5").await.unwrap();
            world.end(&tenant, call, "0.5").await;
        })
        .await;
    world.rows.remove_budgets(id);
    world.rows.remove_calls(id);
    world.limiter.forget(&world.fixture.operator().await, id).await;
    owner
        .enter(async |tenant| {
            assert!(world.limiter.budgets(&tenant).await.unwrap().is_empty());
            let ai = world.limiter.standing(&tenant, Kind::Ai).await.unwrap();
            assert_eq!((ai.standing.remaining, ai.parallel.under_way), (Some(9), 0));
        })
        .await;
}

pub async fn tenants_share_nothing<B: Backend>(world: World<B>) {
    let limits = Limits { requests_per_second: Some(1), ..hourly(1) };
    let (_, one) = world.owner(limits).await;
    let (_, two) = world.owner(limits).await;
    one.enter(async |tenant| {
        world.budget(&tenant, "1.00").await;
        world.begin(&tenant, "1.00").await.unwrap();
        world.limiter.request(&tenant).await.unwrap();
        world.limiter.request(&tenant).await.unwrap_err();
    })
    .await;
    two.enter(async |tenant| {
        assert!(world.limiter.budgets(&tenant).await.unwrap().is_empty());
        assert_eq!(world.limiter.requests(&tenant).await.unwrap().remaining, Some(1));
        world.limiter.request(&tenant).await.unwrap();
        world.begin(&tenant, "5.00").await.unwrap();
        assert_eq!(code(world.begin(&tenant, "5.00").await.unwrap_err()), Code::RateLimited);
    })
    .await;
}
