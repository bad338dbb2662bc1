//! What every case begins with: rows, a limiter that restores from them, and a clock that stands still.

use crate::Rows;
use admission_fixture::Fixture;
use async_trait::async_trait;
use context::{Admission, Tenant};
use env::Env;
use errors::{Code, Problem};
use ids::{CallId, TenantId};
use limiter::{Kind, LimitError, Limiter, PlannedCall};
use metering::budget::BudgetScope;
use metering::plan::Limits;
use money::Usd;
use std::sync::Arc;
use std::time::Duration;
use store::CallStatus;

/// What a case asks of a limiter.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Model calls of one tenant under way at once.
    pub parallel_model_calls: u64,
    /// How long what is kept of an idle tenant stays.
    pub idle: Duration,
    /// How long after a call's lease its row may take to tell how it ended.
    pub lease_margin: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parallel_model_calls: 10_000,
            idle: Duration::from_secs(600),
            lease_margin: Duration::from_secs(60),
        }
    }
}

/// A limiter under test. There is no way to skip a case.
#[async_trait]
pub trait Backend: Sized + Send + Sync + 'static {
    /// Where limits are kept, with nothing in it.
    async fn open() -> Self;

    /// A limiter as a server has one.
    async fn limiter(&self, rows: &Arc<Rows>, env: Env, settings: Settings) -> Arc<dyn Limiter>;

    /// Everything that is kept is lost.
    async fn lose(&self);

    /// What is kept of a tenant goes, where that needs more than time and a sweep.
    async fn drop_idle(&self, tenant: TenantId);
}

/// A limiter over rows that the case writes.
pub struct World<B: Backend> {
    pub fixture: Fixture,
    pub backend: B,
    pub rows: Arc<Rows>,
    pub limiter: Arc<dyn Limiter>,
    settings: Settings,
}

/// An amount of dollars.
pub fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

/// So many model calls an hour.
pub fn hourly(limit: u64) -> Limits {
    Limits { ai_calls_per_hour: Some(limit), ..Limits::default() }
}

/// What the caller is told.
pub fn code(error: LimitError) -> Code {
    Problem::from(error).code
}

impl<B: Backend> World<B> {
    /// Runs a case in a world of its own.
    pub fn run<R>(case: impl AsyncFnOnce(Self) -> R) -> R {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
        runtime.unwrap().block_on(async { case(Self::new().await).await })
    }

    async fn new() -> Self {
        let (fixture, rows, backend) = (Fixture::new(11), Arc::<Rows>::default(), B::open().await);
        let settings = Settings::default();
        let limiter = backend.limiter(&rows, fixture.env(), settings).await;
        Self { fixture, backend, rows, limiter, settings }
    }

    /// With another limiter in place of the first.
    pub async fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.begin_again().await;
        self
    }

    /// A further limiter on the same rows, as a server that has just started has one.
    pub async fn another(&self) -> Arc<dyn Limiter> {
        self.backend.limiter(&self.rows, self.fixture.env(), self.settings).await
    }

    async fn begin_again(&mut self) {
        self.limiter = self.another().await;
    }

    /// Charges calls whose lease ended, and drops what is idle.
    pub async fn sweep(&self) {
        self.limiter.sweep().await;
    }

    /// The same rows, and nothing else, under a server that has just started.
    pub async fn restart(&mut self) {
        self.backend.lose().await;
        self.begin_again().await;
    }

    /// A tenant, and its owner.
    pub async fn owner(&self, limits: Limits) -> (TenantId, Admission) {
        let tenant = self.fixture.tenant(limits);
        (tenant, self.fixture.owner(tenant).await)
    }

    /// A model call that has not begun.
    pub fn call(&self, worst_case: Option<&str>) -> PlannedCall {
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

    /// Begins a call and writes its row.
    pub async fn begin(&self, tenant: &Tenant<'_>, worst_case: &str) -> Result<CallId, LimitError> {
        let call = self.call(Some(worst_case));
        self.limiter.begin(tenant, &call).await?;
        self.rows.begin(tenant.id(), &call);
        Ok(call.id)
    }

    /// Writes a call's outcome and settles it.
    pub async fn end(&self, tenant: &Tenant<'_>, call: CallId, cost: &str) {
        self.rows.end(tenant.id(), call, CallStatus::Settled, usd(cost));
        self.limiter.settle(tenant, call, usd(cost)).await.unwrap();
    }

    /// Sets the tenant's budget for the month.
    pub async fn budget(&self, tenant: &Tenant<'_>, usd: &str) {
        self.rows.put_budget(tenant.id(), "tenant", &tenant.id().to_string(), "month", usd);
        self.limiter.refresh_budgets(tenant).await.unwrap();
    }
}
