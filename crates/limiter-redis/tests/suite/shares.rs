//! No Redis for a while: what is admitted of tenants that have shares keeps to their limits, and is counted once when
//! Redis is back.

use crate::several::Servers;
use crate::{address, settings};
use limiter::{Kind, LimitError, Limiter, LimiterUnavailable};
use limiter_redis::{RedisLimiter, Settings};
use limiter_tests::usd;
use metering::plan::{Limits, WithoutSharedLimits};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::CallStatus;

fn shares() -> Limits {
    Limits { without_shared_limits: WithoutSharedLimits::LocalShare, ..Limits::default() }
}

/// Machines with few cores may not look for a while.
fn slow() -> Settings {
    Settings {
        grace: Duration::from_secs(4),
        proof: Duration::from_secs(3),
        ..settings(limiter_tests::Settings::default())
    }
}

impl Servers {
    /// Every server has counted in Redis.
    async fn counted(self: &Arc<Self>) {
        self.owner
            .clone()
            .enter(async |tenant| {
                for limiter in &self.limiters {
                    limiter.budgets(&tenant).await.unwrap();
                }
            })
            .await;
    }

    /// One call at one server, at its worst case.
    async fn one_at(&self, server: usize) -> Result<(), LimitError> {
        self.owner
            .clone()
            .enter(async |tenant| {
                let (limiter, call) = (&self.limiters[server], self.call());
                limiter.begin(&tenant, &call).await?;
                self.rows.begin(self.tenant, &call);
                self.rows.end(self.tenant, call.id, CallStatus::Settled, usd("0.03"));
                // Where Redis is gone and there is no share, it is told later.
                let _ = limiter.settle(&tenant, call.id, usd("0.03")).await;
                Ok(())
            })
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ceiling_holds_where_redis_is_killed_under_load() {
    let servers = Servers::start_with("15.00", shares(), slow()).await;
    servers.counted().await;
    let calls = servers.load().await;
    while servers.admitted.load(Ordering::SeqCst) < 50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    servers.redis.stop();
    let before = servers.admitted.load(Ordering::SeqCst);
    for call in calls {
        call.await.unwrap();
    }
    // Where there are many cores all of them have asked before it was clear that Redis is gone.
    let shared = async {
        while servers.admitted.load(Ordering::SeqCst) == before {
            for call in servers.load().await {
                call.await.unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shared).await.expect("a share admits calls");
    let spent = servers.rows.spent(servers.tenant);
    assert!(spent <= usd("15.00"), "{spent}");
    // Nothing of it is forgotten, and nothing is counted twice.
    servers.redis.restart().await;
    servers.check("15.00").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_has_its_part_of_what_is_left() {
    let limits = Limits { ai_calls_per_hour: Some(30), requests_per_second: Some(9), ..shares() };
    let servers = Servers::start_with("1.00", limits, slow()).await;
    servers.counted().await;
    for server in [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0] {
        servers.one_at(server).await.unwrap();
    }
    servers.redis.stop();
    // 0.61 are left, of which 0.1525 are one's, and 17 calls, of which 4 are. Who comes later sees less left.
    for (server, calls) in [(0, 4), (1, 3)] {
        for _ in 0..calls {
            servers.one_at(server).await.unwrap();
        }
        let refused = servers.one_at(server).await.unwrap_err();
        assert!(matches!(refused, LimitError::Window(Kind::Ai, _)), "{refused:?}");
    }
    servers
        .owner
        .clone()
        .enter(async |tenant| {
            let limiter = &servers.limiters[0];
            let standing = limiter.standing(&tenant, Kind::Ai).await.unwrap();
            assert_eq!((standing.standing.limit, standing.standing.remaining), (Some(4), Some(0)));
            let budget = limiter.budgets(&tenant).await.unwrap()[0];
            assert_eq!(
                (budget.limit, budget.reserved, budget.spent),
                (usd("1.00"), usd("0.12"), usd("0.39"))
            );
            let rate = limiter.request(&tenant).await.unwrap();
            assert_eq!((rate.limit, rate.remaining), (Some(2), Some(1)));
            limiter.request(&tenant).await.unwrap();
            assert!(matches!(limiter.request(&tenant).await, Err(LimitError::Requests(_))));
            // The budget falls meanwhile, at another server, and holds here at once.
            let third = &servers.limiters[2];
            servers.rows.put_budget(tenant.id(), "tenant", &tenant.id().to_string(), "month", "0.60");
            let refused = third.begin(&tenant, &servers.call()).await.unwrap_err();
            assert!(matches!(refused, LimitError::Budget(_)), "{refused:?}");
            // What another budget has spent is not known.
            servers.rows.put_budget(tenant.id(), "tenant", &tenant.id().to_string(), "day", "9.00");
            let refused = third.begin(&tenant, &servers.call()).await.unwrap_err();
            assert_eq!(refused, LimiterUnavailable::ForNow.into());
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_on_a_share_and_goes_on_is_counted_once() {
    let servers = Servers::start_with("1.00", shares(), slow()).await;
    servers.counted().await;
    servers.redis.stop();
    servers
        .owner
        .clone()
        .enter(async |tenant| {
            let limiter = &servers.limiters[0];
            let [written, unwritten, ended, dropped] = [(); 4].map(|()| servers.call());
            for call in [&written, &unwritten, &ended, &dropped] {
                limiter.begin(&tenant, call).await.unwrap();
            }
            servers.rows.begin(tenant.id(), &written);
            servers.rows.begin(tenant.id(), &ended);
            servers.rows.end(tenant.id(), ended.id, CallStatus::Settled, usd("0.01"));
            let closed = limiter.settle(&tenant, ended.id, usd("0.01")).await.unwrap().unwrap();
            assert_eq!((closed.reserved, closed.cost), (usd("0.03"), usd("0.01")));
            limiter.abandon(&tenant, dropped.id);
            servers.redis.restart().await;
            for limiter in &servers.limiters {
                // Who did not ask meanwhile finds out that its connection is gone.
                let _ = limiter.requests(&tenant).await;
                let budget = limiter.budgets(&tenant).await.unwrap()[0];
                assert_eq!((budget.reserved, budget.spent), (usd("0.06"), usd("0.01")));
            }
            let standing = limiter.standing(&tenant, Kind::Ai).await.unwrap();
            assert_eq!(standing.parallel.under_way, 2);
            for call in [written, unwritten] {
                limiter.settle(&tenant, call.id, usd("0.02")).await.unwrap().unwrap();
            }
            let budget = servers.limiters[3].budgets(&tenant).await.unwrap()[0];
            assert_eq!((budget.reserved, budget.spent), (usd("0.00"), usd("0.05")));
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_cannot_reach_redis_has_no_share() {
    let settings =
        Settings { command: Duration::from_millis(300), patience: Duration::from_secs(6), ..slow() };
    let servers = Servers::start_with("1.00", shares(), settings).await;
    servers.counted().await;
    servers.redis.halt(true);
    let refused = servers.one_at(0).await.unwrap_err();
    assert_eq!(refused, LimiterUnavailable::ForNow.into());
    // Also not once it is gone for sure: others may have counted in it up to then.
    servers.redis.stop();
    assert_eq!(servers.one_at(0).await.unwrap_err(), LimiterUnavailable::ForNow.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_counted_in_redis_has_no_share_and_nor_has_who_had_one() {
    let servers = Servers::start_with("1.00", shares(), slow()).await;
    servers.counted().await;
    servers.redis.stop();
    servers.one_at(0).await.unwrap();
    let started =
        RedisLimiter::new(servers.rows.clone(), servers.fixture.env(), &address(&servers.redis), slow());
    let started = started.unwrap();
    servers
        .owner
        .clone()
        .enter(async |tenant| {
            let refused = started.begin(&tenant, &servers.call()).await.unwrap_err();
            assert_eq!(refused, LimiterUnavailable::ForNow.into());
            // Of a tenant that was restored or erased nothing more is admitted before Redis is back.
            servers.limiters[0].forget(&servers.fixture.operator().await, tenant.id()).await;
        })
        .await;
    assert_eq!(servers.one_at(0).await.unwrap_err(), LimiterUnavailable::ForNow.into());
    servers.redis.restart().await;
    servers.one_at(0).await.unwrap();
}
