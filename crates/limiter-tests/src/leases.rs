//! What a call holds between its beginning and its end, and where nobody tells of its end.

use crate::{Backend, Settings, World, code, hourly, usd};
use errors::Code;
use limiter::Held;
use money::Usd;
use std::time::Duration;
use store::CallStatus;

pub async fn what_nobody_wrote_down_is_given_back<B: Backend>(world: World<B>) {
    let world = world.with(Settings { parallel_model_calls: 1, ..Settings::default() }).await;
    let (_, owner) = world.owner(hourly(9)).await;
    owner
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            let planned = world.call(Some("1.00"));
            let (held, _) = Held::begin(world.limiter.as_ref(), &tenant, &planned).await.unwrap();
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].reserved, usd("1.00"));
            drop(held);
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].reserved, Usd::ZERO);
            let planned = world.call(Some("1.00"));
            let (held, _) = Held::begin(world.limiter.as_ref(), &tenant, &planned).await.unwrap();
            held.written();
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].reserved, usd("1.00"));
        })
        .await;
}

pub async fn a_call_of_which_no_row_tells_is_charged_after_its_lease<B: Backend>(world: World<B>) {
    let world = world.with(Settings { parallel_model_calls: 1, ..Settings::default() }).await;
    let (_, owner) = world.owner(hourly(9)).await;
    owner
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            let lost = world.begin(&tenant, "0.75").await.unwrap();
            let seconds = |count: i64| world.fixture.clock().advance(count * 1000);
            seconds(3600 + 59);
            world.sweep().await;
            assert_eq!(code(world.begin(&tenant, "0").await.unwrap_err()), Code::ConcurrencyLimited);
            seconds(2);
            world.sweep().await;
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (Usd::ZERO, usd("0.75")));
            world.begin(&tenant, "0").await.unwrap();
            // A late word corrects it.
            world.end(&tenant, lost, "0.50").await;
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].spent, usd("0.50"));
        })
        .await;
}

pub async fn a_call_whose_outcome_was_lost_holds_again_and_costs_no_other_its_hold<B: Backend>(
    world: World<B>,
) {
    let world = world.with(Settings { parallel_model_calls: 2, ..Settings::default() }).await;
    let (tenant_id, owner) = world.owner(hourly(9)).await;
    owner
        .enter(async |tenant| {
            world.budget(&tenant, "10.00").await;
            // One call is admitted and its row is still on its way.
            let planned = world.call(Some("4.00"));
            let (on_its_way, _) = Held::begin(world.limiter.as_ref(), &tenant, &planned).await.unwrap();
            // Another ended here; the row says that it is open.
            let lost = world.call(Some("5.00"));
            world.limiter.begin(&tenant, &lost).await.unwrap();
            world.rows.begin(tenant_id, &lost);
            world.limiter.settle(&tenant, lost.id, usd("0.50")).await.unwrap().unwrap();
            world.limiter.reopen(&tenant, &lost).await.unwrap();
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert!(standing.reserved >= usd("9.00"), "{standing:?}");
            assert_eq!(code(world.begin(&tenant, "1.50").await.unwrap_err()), Code::BudgetExceeded);
            // The one on its way is under way as before, the other is not.
            let third = world.begin(&tenant, "0").await.unwrap();
            assert_eq!(code(world.begin(&tenant, "0").await.unwrap_err()), Code::ConcurrencyLimited);
            world.end(&tenant, third, "0").await;
            on_its_way.written();
            world.rows.begin(tenant_id, &planned);
            world.end(&tenant, planned.id, "4.00").await;
            // The late word of the lost one ends it; what it was charged before stays charged here.
            world.rows.end(tenant_id, lost.id, CallStatus::Unknown, usd("5.00"));
            world.limiter.settle(&tenant, lost.id, usd("5.00")).await.unwrap().unwrap();
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!(standing.reserved, Usd::ZERO);
            assert!(standing.spent >= usd("9.00"), "{standing:?}");
        })
        .await;
}

pub async fn a_released_call_whose_outcome_was_lost_holds_again_until_its_lease_ends<B: Backend>(
    world: World<B>,
) {
    // The meter stays, so that it is not the row that tells.
    let world = world.with(Settings { idle: Duration::from_secs(7200), ..Settings::default() }).await;
    let (tenant_id, owner) = world.owner(hourly(9)).await;
    owner
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            let lost = world.call(Some("0.75"));
            world.limiter.begin(&tenant, &lost).await.unwrap();
            world.rows.begin(tenant_id, &lost);
            world.limiter.release(&tenant, lost.id).await.unwrap().unwrap();
            world.limiter.reopen(&tenant, &lost).await.unwrap();
            // Twice is once.
            world.limiter.reopen(&tenant, &lost).await.unwrap();
            let standing = async || {
                let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
                (standing.reserved, standing.spent)
            };
            assert_eq!(standing().await, (usd("0.75"), Usd::ZERO));
            world.fixture.clock().advance((3600 + 61) * 1000);
            world.sweep().await;
            assert_eq!(standing().await, (Usd::ZERO, usd("0.75")));
        })
        .await;
}

pub async fn where_no_meter_is_in_memory_the_rows_tell_what_is_held<B: Backend>(world: World<B>) {
    let mut world = world;
    let (tenant_id, owner) = world.owner(hourly(9)).await;
    owner
        .clone()
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
        })
        .await;
    let lost = world.call(Some("0.75"));
    world.rows.begin(tenant_id, &lost);
    world.restart().await;
    owner
        .enter(async |tenant| {
            world.limiter.reopen(&tenant, &lost).await.unwrap();
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].reserved, usd("0.75"));
        })
        .await;
}
