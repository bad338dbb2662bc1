//! Windows, places and the rate of requests.

use crate::{Backend, Settings, World, code, hourly, usd};
use errors::{Code, Problem};
use limiter::Kind;
use metering::plan::Limits;

pub async fn a_window_survives_a_restart_and_refuses_with_a_time<B: Backend>(world: World<B>) {
    let mut world = world;
    let (_, owner) = world.owner(hourly(3)).await;
    owner
        .clone()
        .enter(async |tenant| {
            for _ in 0..2 {
                let call = world.begin(&tenant, "0").await.unwrap();
                world.end(&tenant, call, "0").await;
            }
        })
        .await;
    world.restart().await;
    owner
        .clone()
        .enter(async |tenant| {
            world.begin(&tenant, "0").await.unwrap();
            let refused = Problem::from(world.begin(&tenant, "0").await.unwrap_err());
            assert_eq!(refused.code, Code::RateLimited);
            assert!(refused.retry_after.is_some_and(|seconds| (3590..=3620).contains(&seconds)));
            let standing = world.limiter.standing(&tenant, Kind::Ai).await.unwrap();
            assert_eq!(standing.rate_limit_policy().unwrap(), r#""ai";q=3;w=3600"#);
            assert_eq!((standing.standing.remaining, standing.parallel.under_way), (Some(0), 1));
            assert_eq!(world.limiter.standing(&tenant, Kind::Api).await.unwrap().standing.remaining, None);
        })
        .await;
    world.fixture.clock().advance(3_620_000);
    owner.enter(async |tenant| world.begin(&tenant, "0").await.unwrap()).await;
}

pub async fn refusals_take_nothing<B: Backend>(world: World<B>) {
    let world = world.with(Settings { parallel_model_calls: 2, ..Settings::default() }).await;
    let (_, owner) = world.owner(hourly(3)).await;
    owner
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            assert_eq!(code(world.begin(&tenant, "1.01").await.unwrap_err()), Code::BudgetExceeded);
            let unpriced = world.call(None);
            let refused = world.limiter.begin(&tenant, &unpriced).await.unwrap_err();
            assert_eq!(code(refused), Code::UnpricedModel);
            let first = world.begin(&tenant, "0.25").await.unwrap();
            world.begin(&tenant, "0.25").await.unwrap();
            assert_eq!(code(world.begin(&tenant, "0.25").await.unwrap_err()), Code::ConcurrencyLimited);
            let ai = world.limiter.standing(&tenant, Kind::Ai).await.unwrap();
            assert_eq!((ai.standing.remaining, ai.parallel.under_way), (Some(1), 2));
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].reserved, usd("0.5"));
            world.limiter.release(&tenant, first).await.unwrap();
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].reserved, usd("0.25"));
            world.begin(&tenant, "0.25").await.unwrap();
        })
        .await;
}

pub async fn a_changed_plan_holds_for_the_next_call<B: Backend>(world: World<B>) {
    let (id, owner) = world.owner(hourly(1)).await;
    owner
        .enter(async |tenant| {
            world.begin(&tenant, "0").await.unwrap();
            assert_eq!(code(world.begin(&tenant, "0").await.unwrap_err()), Code::RateLimited);
        })
        .await;
    world.fixture.set_limits(id, hourly(2));
    let owner = world.fixture.owner(id).await;
    owner.enter(async |tenant| world.begin(&tenant, "0").await.unwrap()).await;
}

pub async fn requests_have_a_rate_by_the_second<B: Backend>(world: World<B>) {
    let (_, owner) = world.owner(Limits { requests_per_second: Some(2), ..Limits::default() }).await;
    owner
        .enter(async |tenant| {
            for _ in 0..2 {
                world.limiter.request(&tenant).await.unwrap();
            }
            let refused = Problem::from(world.limiter.request(&tenant).await.unwrap_err());
            assert_eq!((refused.code, refused.retry_after), (Code::RateLimited, Some(1)));
            world.fixture.clock().advance(500);
            world.limiter.request(&tenant).await.unwrap();
        })
        .await;
}

pub async fn a_rate_is_shown_without_a_request<B: Backend>(world: World<B>) {
    let (_, owner) = world.owner(Limits { requests_per_second: Some(3), ..Limits::default() }).await;
    owner
        .enter(async |tenant| {
            let remaining = async || world.limiter.requests(&tenant).await.unwrap().remaining;
            assert_eq!(remaining().await, Some(3));
            world.limiter.request(&tenant).await.unwrap();
            assert_eq!((remaining().await, remaining().await), (Some(2), Some(2)));
            world.fixture.clock().advance(400);
            assert_eq!(remaining().await, Some(3));
        })
        .await;
}

pub async fn the_largest_limits_are_limits<B: Backend>(world: World<B>) {
    let most = Limits {
        ai_calls_per_hour: Some(u64::MAX),
        requests_per_second: Some(u64::MAX),
        ..Limits::default()
    };
    let (_, owner) = world.owner(most).await;
    owner
        .enter(async |tenant| {
            let call = world.begin(&tenant, "0").await.unwrap();
            let ai = world.limiter.standing(&tenant, Kind::Ai).await.unwrap().standing;
            assert_eq!((ai.limit, ai.remaining), (Some(u64::MAX), Some(u64::MAX - 1)));
            world.end(&tenant, call, "0").await;
            let admitted = world.limiter.request(&tenant).await.unwrap();
            assert_eq!(admitted.limit, Some(u64::MAX));
            assert!(admitted.remaining.is_some_and(|remaining| remaining > 1_000_000));
        })
        .await;
}
