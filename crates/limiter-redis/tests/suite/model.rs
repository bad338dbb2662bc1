//! The limiter of one process is the model: the same calls, the same answers.

use crate::{Shared, settings};
use admission_fixture::Fixture;
use context::Tenant;
use ids::CallId;
use limiter::{Kind, Limiter, PlannedCall};
use limiter_local::LocalLimiter;
use limiter_redis::RedisLimiter;
use limiter_tests::{Backend as _, Rows, Settings};
use metering::budget::BudgetScope;
use metering::plan::Limits;
use money::Usd;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Begin { worst: Option<u64>, api: bool, lease: u64 },
    Settle { which: usize, cost: u64 },
    Release { which: usize },
    Request,
    Wait { millis: i64 },
    Budget { per: &'static str, limit: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (proptest::option::weighted(0.9, 0u64..5_000_000), any::<bool>(), 1u64..7200)
            .prop_map(|(worst, api, lease)| Step::Begin { worst, api, lease }),
        3 => (0usize..40, 0u64..6_000_000).prop_map(|(which, cost)| Step::Settle { which, cost }),
        1 => (0usize..40).prop_map(|which| Step::Release { which }),
        2 => Just(Step::Request),
        2 => prop_oneof![0i64..2_000, 0i64..4_000_000, 0i64..90_000_000].prop_map(|millis| Step::Wait { millis }),
        1 => (prop_oneof![Just("day"), Just("month")], 1u64..30_000_000)
            .prop_map(|(per, limit)| Step::Budget { per, limit }),
    ]
}

/// Millionths of a dollar with a last place that a double would lose.
fn amount(millionths: u64) -> Usd {
    format!("{}.{:06}000000001", millionths / 1_000_000, millionths % 1_000_000).parse().unwrap()
}

fn small() -> Limits {
    Limits {
        ai_calls_per_hour: Some(9),
        api_calls_per_hour: Some(6),
        requests_per_second: Some(3),
        ..Limits::default()
    }
}

async fn compare(local: &LocalLimiter<Rows>, redis: &RedisLimiter<Rows>, tenant: &Tenant<'_>, told: &str) {
    // The one charges calls whose lease ended when it is swept, the other before it answers.
    local.sweep().await;
    assert_eq!(local.budgets(tenant).await, redis.budgets(tenant).await, "{told}");
    for kind in Kind::ALL {
        assert_eq!(local.standing(tenant, kind).await, redis.standing(tenant, kind).await, "{told}");
    }
}

async fn same(steps: Vec<Step>) {
    let shared = Shared::open().await;
    let (fixture, rows) = (Fixture::new(3), Arc::<Rows>::default());
    let wanted = Settings { parallel_model_calls: 4, ..Settings::default() };
    let local = limiter_local::Settings {
        parallel_model_calls: 4,
        // The model does not drop what the rows of this test do not tell.
        idle: Duration::from_secs(1_000_000_000),
        ..limiter_local::Settings::default()
    };
    let local = LocalLimiter::new(rows.clone(), fixture.env(), local);
    let redis =
        RedisLimiter::new(rows.clone(), fixture.env(), &crate::address(&shared.0), settings(wanted)).unwrap();
    let owner = fixture.owner(fixture.tenant(small())).await;
    owner
        .enter(async |tenant| {
            let mut calls: Vec<CallId> = Vec::new();
            // Both begin with nothing.
            assert_eq!(local.budgets(&tenant).await, redis.budgets(&tenant).await);
            for step in steps {
                let told = format!("{step:?}");
                match step {
                    Step::Begin { worst, api, lease } => {
                        let at = fixture.env().now();
                        let call = PlannedCall {
                            id: fixture.env().id(),
                            kind: if api { Kind::Api } else { Kind::Ai },
                            scopes: vec![BudgetScope::Tenant],
                            worst_case: worst.map(amount),
                            at,
                            lease_until: at.plus(Duration::from_secs(lease)),
                        };
                        calls.push(call.id);
                        let both = (local.begin(&tenant, &call).await, redis.begin(&tenant, &call).await);
                        assert_eq!(both.0, both.1, "{told}");
                    }
                    Step::Settle { which, cost } if which < calls.len() => {
                        let (call, cost) = (calls[which], amount(cost));
                        let both = (
                            local.settle(&tenant, call, cost).await,
                            redis.settle(&tenant, call, cost).await,
                        );
                        assert_eq!(both.0, both.1, "{told}");
                    }
                    Step::Release { which } if which < calls.len() => {
                        let both = (
                            local.release(&tenant, calls[which]).await,
                            redis.release(&tenant, calls[which]).await,
                        );
                        assert_eq!(both.0, both.1, "{told}");
                    }
                    Step::Settle { .. } | Step::Release { .. } => {}
                    Step::Request => {
                        assert_eq!(local.request(&tenant).await, redis.request(&tenant).await, "{told}");
                    }
                    Step::Wait { millis } => fixture.clock().advance(millis),
                    Step::Budget { per, limit } => {
                        let (id, text) = (tenant.id().to_string(), amount(limit).to_string());
                        rows.put_budget(tenant.id(), "tenant", &id, per, &text);
                        local.refresh_budgets(&tenant).await.unwrap();
                        redis.refresh_budgets(&tenant).await.unwrap();
                    }
                }
                compare(&local, &redis, &tenant, &told).await;
            }
        })
        .await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn the_same_calls_have_the_same_answers(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(same(steps));
    }
}
