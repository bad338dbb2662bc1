//! Limits under concurrency, and what a dropped and restored meter still knows.

mod rows;
mod unwritten;

use crate::{LocalLimiter, Settings};
use admission_fixture::Fixture;
use context::{Admission, Tenant};
use env::Timestamp;
use errors::{Code, Problem};
use ids::{CallId, TenantId};
use limiter::{Held, Kind, LimitError, Limiter, PlannedCall};
use metering::budget::BudgetScope;
use metering::plan::Limits;
use money::Usd;
use rows::Rows;
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};
use std::time::Duration;
use store::CallStatus;

struct World {
    fixture: Fixture,
    rows: Arc<Rows>,
    limiter: Arc<LocalLimiter<Rows>>,
}

const MANY: Settings = Settings {
    parallel_model_calls: 10_000,
    tenants: 10,
    idle: Duration::from_secs(600),
    lease_margin: Duration::from_secs(60),
};

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn hourly(limit: u64) -> Limits {
    Limits { ai_calls_per_hour: Some(limit), ..Limits::default() }
}

impl World {
    fn new(settings: Settings) -> Self {
        let fixture = Fixture::new(11);
        let rows = Arc::new(Rows::default());
        let limiter = Arc::new(LocalLimiter::new(rows.clone(), fixture.env(), settings));
        Self { fixture, rows, limiter }
    }

    /// The same rows under a server that has just started.
    fn restart(&mut self, settings: Settings) {
        self.limiter = Arc::new(LocalLimiter::new(self.rows.clone(), self.fixture.env(), settings));
    }

    async fn owner(&self, limits: Limits) -> (TenantId, Admission) {
        let tenant = self.fixture.tenant(limits);
        (tenant, self.fixture.owner(tenant).await)
    }

    fn call(&self, worst_case: Option<&str>) -> PlannedCall {
        let now = self.fixture.env().now();
        PlannedCall {
            id: self.fixture.env().id(),
            kind: Kind::Ai,
            scopes: vec![BudgetScope::Tenant],
            worst_case: worst_case.map(usd),
            at: now,
            lease_until: now.plus(Duration::from_secs(3600)),
        }
    }

    async fn begin(&self, tenant: &Tenant<'_>, worst_case: &str) -> Result<CallId, LimitError> {
        let call = self.call(Some(worst_case));
        self.limiter.begin(tenant, &call).await?;
        self.rows.begin(tenant.id(), &call);
        Ok(call.id)
    }

    async fn end(&self, tenant: &Tenant<'_>, call: CallId, cost: &str) {
        self.rows.end(tenant.id(), call, CallStatus::Settled, usd(cost));
        self.limiter.settle(tenant, call, usd(cost)).await.unwrap();
    }

    async fn budget(&self, tenant: &Tenant<'_>, usd: &str) {
        self.rows.put_budget(tenant.id(), "tenant", &tenant.id().to_string(), "month", usd);
        self.limiter.refresh_budgets(tenant).await.unwrap();
    }
}

fn code(error: LimitError) -> Code {
    Problem::from(error).code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_at_once_never_exceed_a_budget() {
    let world = Arc::new(World::new(MANY));
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

#[tokio::test]
async fn a_window_survives_a_restart_and_refuses_with_a_time() {
    let mut world = World::new(MANY);
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
    world.restart(MANY);
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

#[tokio::test]
async fn what_a_crash_left_open_stays_reserved_until_its_row_says_unknown() {
    let mut world = World::new(MANY);
    let (_, owner) = world.owner(Limits::default()).await;
    let lost = owner
        .clone()
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            world.begin(&tenant, "0.75").await.unwrap()
        })
        .await;
    world.restart(MANY);
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

#[tokio::test]
async fn a_new_budget_knows_what_was_spent_and_counts_no_call_twice() {
    let world = World::new(MANY);
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

#[tokio::test]
async fn charges_made_while_rows_are_read_for_a_new_budget_are_counted_once() {
    let world = Arc::new(World::new(MANY));
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

#[tokio::test]
async fn refusals_take_nothing() {
    let world = World::new(Settings { parallel_model_calls: 2, ..MANY });
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

#[tokio::test]
async fn what_nobody_wrote_down_is_given_back() {
    let world = World::new(Settings { parallel_model_calls: 1, ..MANY });
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

#[tokio::test]
async fn a_call_of_which_no_row_tells_is_charged_after_its_lease() {
    let world = World::new(Settings { parallel_model_calls: 1, ..MANY });
    let (_, owner) = world.owner(hourly(9)).await;
    owner
        .enter(async |tenant| {
            world.budget(&tenant, "1.00").await;
            let lost = world.begin(&tenant, "0.75").await.unwrap();
            let seconds = |count: i64| world.fixture.clock().advance(count * 1000);
            seconds(3600 + 59);
            world.limiter.sweep();
            assert_eq!(code(world.begin(&tenant, "0").await.unwrap_err()), Code::ConcurrencyLimited);
            seconds(2);
            world.limiter.sweep();
            let standing = world.limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!((standing.reserved, standing.spent), (Usd::ZERO, usd("0.75")));
            world.begin(&tenant, "0").await.unwrap();
            // A late word corrects it.
            world.end(&tenant, lost, "0.50").await;
            assert_eq!(world.limiter.budgets(&tenant).await.unwrap()[0].spent, usd("0.50"));
        })
        .await;
}

#[tokio::test]
async fn a_changed_plan_holds_for_the_next_call() {
    let world = World::new(MANY);
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

#[tokio::test]
async fn idle_tenants_leave_memory_and_busy_ones_stay() {
    let world = World::new(Settings { tenants: 2, ..MANY });
    let (_, busy) = world.owner(hourly(9)).await;
    let call = busy.clone().enter(async |tenant| world.begin(&tenant, "0").await.unwrap()).await;
    let (_, idle) = world.owner(hourly(9)).await;
    idle.clone()
        .enter(async |tenant| {
            let call = world.begin(&tenant, "0").await.unwrap();
            world.end(&tenant, call, "0").await;
        })
        .await;
    world.fixture.clock().advance(601_000);
    world.limiter.sweep();
    assert_eq!(world.limiter.kept(), 1);
    idle.enter(async |tenant| {
        let ai = world.limiter.standing(&tenant, Kind::Ai).await.unwrap();
        assert_eq!(ai.standing.remaining, Some(8), "what was dropped is restored");
    })
    .await;
    let (_, third) = world.owner(hourly(9)).await;
    third.enter(async |tenant| world.begin(&tenant, "0").await.unwrap()).await;
    assert_eq!(world.limiter.kept(), 2, "the map is bounded");
    let (_, fourth) = world.owner(hourly(9)).await;
    fourth
        .enter(async |tenant| {
            assert_eq!(code(world.begin(&tenant, "0").await.unwrap_err()), Code::Unavailable);
        })
        .await;
    busy.enter(async |tenant| world.end(&tenant, call, "0").await).await;
}

#[tokio::test]
async fn requests_have_a_rate_by_the_second() {
    let world = World::new(MANY);
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

#[tokio::test]
async fn one_reader_restores_for_all_and_a_failure_admits_nothing() {
    let world = Arc::new(World::new(MANY));
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
