//! Four servers on one Redis: the ceiling holds, also where Redis loses everything in between.

use crate::address;
use crate::settings;
use admission_fixture::Fixture;
use context::Admission;
use ids::TenantId;
use limiter::{Held, Kind, Limiter, LimiterUnavailable, PlannedCall};
use limiter_redis::{RedisLimiter, Settings, Time};
use limiter_tests::{Rows, usd};
use metering::budget::BudgetScope;
use metering::plan::Limits;
use money::Usd;
use redis_instance::RedisServer;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::CallStatus;

pub(crate) struct Servers {
    pub(crate) redis: RedisServer,
    pub(crate) fixture: Fixture,
    pub(crate) rows: Arc<Rows>,
    pub(crate) limiters: Vec<RedisLimiter<Rows>>,
    pub(crate) tenant: TenantId,
    pub(crate) owner: Admission,
    pub(crate) admitted: AtomicU64,
}

impl Servers {
    pub(crate) async fn start(budget: &str) -> Arc<Self> {
        let settings = settings(limiter_tests::Settings::default());
        Self::start_with(budget, Limits::default(), settings).await
    }

    pub(crate) async fn start_with(budget: &str, limits: Limits, settings: Settings) -> Arc<Self> {
        let (redis, fixture) = (RedisServer::start().await, Fixture::new(5));
        let rows = Arc::<Rows>::default();
        let settings = Settings { servers: NonZeroU32::new(4).unwrap(), ..settings };
        let limiters = (0..4)
            .map(|_| RedisLimiter::new(rows.clone(), fixture.env(), &address(&redis), settings).unwrap())
            .collect();
        let tenant = fixture.tenant(limits);
        let owner = fixture.owner(tenant).await;
        rows.put_budget(tenant, "tenant", &tenant.to_string(), "month", budget);
        Arc::new(Self { redis, fixture, rows, limiters, tenant, owner, admitted: AtomicU64::new(0) })
    }

    pub(crate) fn call(&self) -> PlannedCall {
        let (id, at) = (self.fixture.env().id(), self.fixture.env().now());
        PlannedCall {
            id,
            kind: Kind::Ai,
            scopes: vec![BudgetScope::Tenant],
            worst_case: Some(usd("0.03")),
            at,
            lease_until: at.plus(Duration::from_secs(3600)),
        }
    }

    /// One call on one server: admitted, written, under way for a while, ended.
    async fn one(self: Arc<Self>, number: usize) {
        let limiter = &self.limiters[number % 4];
        let cost = if number.is_multiple_of(2) { "0.03" } else { "0.01" };
        self.owner
            .clone()
            .enter(async |tenant| {
                let call = self.call();
                let Ok((held, _)) = Held::begin(limiter, &tenant, &call).await else { return };
                self.admitted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(number as u64 % 30)).await;
                self.rows.begin(self.tenant, &call);
                held.written();
                tokio::time::sleep(Duration::from_millis(number as u64 % 50)).await;
                self.rows.end(self.tenant, call.id, CallStatus::Settled, usd(cost));
                // Where Redis is gone the limiter tells it later.
                let _ = limiter.settle(&tenant, call.id, usd(cost)).await;
            })
            .await;
    }

    pub(crate) async fn load(self: &Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        (0..1_000).map(|number| tokio::spawn(boxed(self.clone(), number))).collect()
    }

    /// What the rows tell is what Redis tells, and no more than the budget; what is left admits no further call.
    pub(crate) async fn check(self: &Arc<Self>, budget: &str) {
        self.owner
            .clone()
            .enter(async |tenant| {
                // The first restores where nobody has; then all tell of ends that they could not tell of before.
                for limiter in &self.limiters {
                    limiter.budgets(&tenant).await.unwrap();
                    limiter.sweep().await;
                }
                loop {
                    let call = self.call();
                    if self.limiters[0].begin(&tenant, &call).await.is_err() {
                        break;
                    }
                    self.rows.begin(self.tenant, &call);
                    self.rows.end(self.tenant, call.id, CallStatus::Settled, usd("0.03"));
                    self.limiters[1].settle(&tenant, call.id, usd("0.03")).await.unwrap();
                }
                for limiter in &self.limiters {
                    let standing = limiter.budgets(&tenant).await.unwrap()[0];
                    assert_eq!(
                        (standing.reserved, standing.spent),
                        (Usd::ZERO, self.rows.spent(self.tenant))
                    );
                    assert!(standing.spent <= usd(budget), "{standing:?}");
                    assert!(standing.spent.plus(usd("0.03")) > usd(budget), "{standing:?}");
                    assert_eq!(limiter.standing(&tenant, Kind::Ai).await.unwrap().parallel.under_way, 0);
                }
            })
            .await;
        assert!(self.admitted.load(Ordering::SeqCst) > 0);
    }
}

fn boxed(servers: Arc<Servers>, number: usize) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(servers.one(number))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_calls_on_four_servers_never_exceed_a_budget() {
    let servers = Servers::start("1.00").await;
    for call in servers.load().await {
        call.await.unwrap();
    }
    servers.check("1.00").await;
    let keys = servers.redis.keys().await;
    let of_tenant = format!("tenantry:{{{}}}:", servers.tenant);
    assert!(keys.iter().all(|key| key.starts_with(&of_tenant) || key == "tenantry:servers"), "{keys:?}");
    servers.limiters[0].forget(&servers.fixture.operator().await, servers.tenant).await;
    assert_eq!(servers.redis.keys().await, ["tenantry:servers"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ceiling_holds_where_redis_loses_everything_under_load() {
    let servers = Servers::start("12.00").await;
    let calls = servers.load().await;
    while servers.admitted.load(Ordering::SeqCst) < 50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    servers.redis.restart().await;
    for call in calls {
        call.await.unwrap();
    }
    servers.check("12.00").await;
}

#[tokio::test]
async fn without_redis_nothing_is_admitted() {
    let servers = Servers::start("1.00").await;
    servers.redis.stop();
    servers
        .owner
        .clone()
        .enter(async |tenant| {
            let refused = servers.limiters[0].begin(&tenant, &servers.call()).await.unwrap_err();
            assert_eq!(refused, LimiterUnavailable::ForNow.into());
            servers.limiters[0].request(&tenant).await.unwrap_err();
        })
        .await;
    servers.redis.restart().await;
    servers.check_after_outage().await;
}

impl Servers {
    async fn check_after_outage(self: &Arc<Self>) {
        self.owner
            .clone()
            .enter(async |tenant| {
                self.limiters[0].begin(&tenant, &self.call()).await.unwrap();
                let standing = self.limiters[1].budgets(&tenant).await.unwrap()[0];
                assert_eq!(standing.reserved, usd("0.03"), "the refused one holds nothing");
            })
            .await;
    }
}

#[tokio::test]
async fn servers_clocks_may_differ() {
    let (redis, rows) = (RedisServer::start().await, Arc::<Rows>::default());
    // The second server's clock is twenty minutes behind.
    let (fixture, behind) = (Fixture::new(5), Fixture::new(6));
    behind.clock().advance(-1_200_000);
    let settings = Settings { time: Time::Redis, ..settings(limiter_tests::Settings::default()) };
    let limits = Limits { ai_calls_per_hour: Some(2), ..Limits::default() };
    let owner = fixture.owner(fixture.tenant(limits)).await;
    let [one, two] = [&fixture, &behind]
        .map(|fixture| RedisLimiter::new(rows.clone(), fixture.env(), &address(&redis), settings).unwrap());
    owner
        .enter(async |tenant| {
            for (limiter, clock) in [(&one, &fixture), (&two, &behind)] {
                let at = clock.env().now();
                let call = PlannedCall {
                    id: clock.env().id(),
                    kind: Kind::Ai,
                    scopes: vec![BudgetScope::Tenant],
                    worst_case: Some(Usd::ZERO),
                    at,
                    // Shorter than the clocks are apart.
                    lease_until: at.plus(Duration::from_secs(600)),
                };
                limiter.begin(&tenant, &call).await.unwrap();
            }
            let [here, there] = [&one, &two].map(|limiter| limiter.standing(&tenant, Kind::Ai));
            let (here, there) = (here.await.unwrap(), there.await.unwrap());
            assert_eq!((here.standing.remaining, here.parallel.under_way), (Some(0), 2));
            assert_eq!((there.standing.remaining, there.parallel.under_way), (Some(0), 2));
            assert!(there.standing.reset_seconds >= 3_590, "{there:?}");
        })
        .await;
}
