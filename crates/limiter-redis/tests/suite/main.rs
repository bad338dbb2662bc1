//! The limiter in Redis passes the suite, and holds where several servers share it.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test has failed it")]

mod model;
mod secure;
mod several;
mod shares;

use async_trait::async_trait;
use env::Env;
use ids::TenantId;
use limiter::Limiter;
use limiter_redis::{Address, RedisLimiter, Time};
use limiter_tests::{Backend, Rows, Settings};
use redis_instance::RedisServer;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;

struct Shared(RedisServer);

fn address(redis: &RedisServer) -> Address {
    Address::parse(&redis.url(), &Tls::default()).unwrap()
}

/// Tests run beside others on machines with few cores, so that commands may take longer.
fn settings(Settings { parallel_model_calls, lease_margin, .. }: Settings) -> limiter_redis::Settings {
    limiter_redis::Settings {
        parallel_model_calls,
        lease_margin,
        command: Duration::from_secs(10),
        patience: Duration::from_secs(30),
        time: Time::Caller,
        ..limiter_redis::Settings::default()
    }
}

#[async_trait]
impl Backend for Shared {
    async fn open() -> Self {
        Self(RedisServer::start().await)
    }

    async fn limiter(&self, rows: &Arc<Rows>, env: Env, wanted: Settings) -> Arc<dyn Limiter> {
        Arc::new(RedisLimiter::new(rows.clone(), env, &address(&self.0), settings(wanted)).unwrap())
    }

    async fn lose(&self) {
        self.0.command(&["FLUSHALL"]).await;
    }

    async fn drop_idle(&self, tenant: TenantId) {
        for key in self.0.keys().await.iter().filter(|key| key.contains(&tenant.to_string())) {
            self.0.command(&["DEL", key]).await;
        }
    }
}

limiter_tests::conformance!(Shared);
