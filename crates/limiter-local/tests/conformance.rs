//! The limiter of one process passes the suite.

use async_trait::async_trait;
use env::Env;
use ids::TenantId;
use limiter::Limiter;
use limiter_local::LocalLimiter;
use limiter_tests::{Backend, Rows, Settings};
use std::sync::Arc;

struct Memory;

#[async_trait]
impl Backend for Memory {
    async fn open() -> Self {
        Self
    }

    async fn limiter(&self, rows: &Arc<Rows>, env: Env, settings: Settings) -> Arc<dyn Limiter> {
        let Settings { parallel_model_calls, idle, lease_margin } = settings;
        let settings = limiter_local::Settings { parallel_model_calls, tenants: 10, idle, lease_margin };
        Arc::new(LocalLimiter::new(rows.clone(), env, settings))
    }

    async fn lose(&self) {}

    async fn drop_idle(&self, _: TenantId) {}
}

limiter_tests::conformance!(Memory);
