//! Money: the ceiling under concurrency, new budgets, the largest amounts.

use crate::{Backend, World, code, usd};
use errors::Code;
use metering::plan::Limits;
use money::Usd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::CallStatus;

pub async fn a_thousand_calls_at_once_never_exceed_a_budget<B: Backend>(world: World<B>) {
    let world = Arc::new(world);
    let (_, owner) = world.owner(Limits::default()).await;
    owner.clone().enter(async |tenant| world.budget(&tenant, "1.00").await).await;
    let admitted = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..1_000)
        .map(|number| {
            let (world, owner, admitted) = (world.clone(), owner.clone(), admitted.clone());
            tokio::spawn(owner.enter_boxed(move |tenant| {
                Box::pin(async move {
                    // The worst case is 0.03; half of them cost that, half cost less.
                    let Ok(call) = world.begin(&tenant, "0.03").await else { return };
                    admitted.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    world.end(&tenant, call, if number % 2 == 0 { "0.03" } else { "0.01" }).await;
                })
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    owner
        .enter(async |tenant| {
            // Whoever was refused while others held more than they spent has gone; these use up what is left.
            while let Ok(call) = world.begin(&tenant, "0.03").await {
                world.end(&tenant, call, "0.03").await;
            }
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert!(standing.spent <= usd("1.00") && standing.reserved.is_zero(), "{standing:?}");
            assert_eq!(standing.spent, world.rows.spent(tenant.id()));
            // It is a ceiling, not a wall far below it: what is left does not cover one more call.
            assert!(standing.spent > usd("0.97"), "{standing:?}");
            assert!(admitted.load(Ordering::SeqCst) > 0);
        })
        .await;
}

pub async fn a_new_budget_knows_what_was_spent_and_counts_no_call_twice<B: Backend>(world: World<B>) {
    let (_, owner) = world.owner(Limits::default()).await;
    owner
        .enter(async |tenant| {
            let ended = world.begin(&tenant, "0.5").await.unwrap();
            world.end(&tenant, ended, "0.25").await;
            let under_way = world.begin(&tenant, "0.5").await.unwrap();
            // Its row is charged already, and it is still held here.
            world.rows.end(tenant.id(), under_way, CallStatus::Settled, usd("0.125"));
            world.budget(&tenant, "1.00").await;
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (usd("0.5"), usd("0.25")));
            world.limiter.settle(&tenant, under_way, usd("0.125")).await.unwrap();
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (Usd::ZERO, usd("0.375")));
            world.budget(&tenant, "0.40").await;
            assert_eq!(code(world.begin(&tenant, "0.1").await.unwrap_err()), Code::BudgetExceeded);
            world.rows.remove_budgets(tenant.id());
            world.limiter.refresh_budgets(&tenant).await.unwrap();
            world.begin(&tenant, "5").await.unwrap();
        })
        .await;
}

pub async fn charges_made_while_rows_are_read_for_a_new_budget_are_counted_once<B: Backend>(world: World<B>) {
    let world = Arc::new(world);
    let (_, owner) = world.owner(Limits::default()).await;
    let call = owner.clone().enter(async |tenant| world.begin(&tenant, "0.5").await.unwrap()).await;
    let reading = world.rows.hold_readers();
    let setting = {
        let (world, owner) = (world.clone(), owner.clone());
        tokio::spawn(
            owner.enter_boxed(move |tenant| Box::pin(async move { world.budget(&tenant, "1.00").await })),
        )
    };
    // The rows are read as they were before the call ended.
    world.rows.reader_waits().await;
    owner.clone().enter(async |tenant| world.end(&tenant, call, "0.25").await).await;
    drop(reading);
    setting.await.unwrap();
    owner
        .enter(async |tenant| {
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (Usd::ZERO, usd("0.25")));
        })
        .await;
}

pub async fn the_largest_amounts_are_exact<B: Backend>(world: World<B>) {
    let (_, owner) = world.owner(Limits::default()).await;
    owner
        .enter(async |tenant| {
            // The largest amount there is, to the last of its places: more than a double holds.
            world.budget(&tenant, "10000000000").await;
            let most = world.begin(&tenant, "9999999999.999999999999999").await.unwrap();
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!(standing.reserved, usd("9999999999.999999999999999"));
            assert_eq!(
                code(world.begin(&tenant, "0.000000000000002").await.unwrap_err()),
                Code::BudgetExceeded
            );
            let last = world.begin(&tenant, "0.000000000000001").await.unwrap();
            assert_eq!(
                code(world.begin(&tenant, "0.000000000000001").await.unwrap_err()),
                Code::BudgetExceeded
            );
            world.end(&tenant, most, "9999999999.999999999999998").await;
            world.end(&tenant, last, "0.000000000000001").await;
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (Usd::ZERO, usd("9999999999.999999999999999")));
            // A sum beyond the largest amount stays there.
            let over = world.begin(&tenant, "0.000000000000001").await.unwrap();
            world.end(&tenant, over, "10000000000").await;
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].spent, usd("10000000000"));
        })
        .await;
}
