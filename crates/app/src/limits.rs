//! Limits: what the tenant may use, and where that stands.

use crate::App;
use context::{Private, Read, Tenant, on};
use errors::Problem;
use ids::Slug;
use limiter::{Kind, LimitStanding};
use metering::plan::Limits;
use metering::window::Standing;
use schemars::JsonSchema;
use serde::Serialize;

/// What the tenant may use, and where that stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LimitsView {
    /// The plan.
    pub plan: Slug,
    /// The plan's limits with what differs for the tenant; null is unlimited.
    pub limits: Limits,
    /// The windows that slide.
    pub windows: Vec<WindowView>,
    /// What may be under way at once.
    pub concurrency: Vec<ConcurrencyView>,
    /// What is stored.
    pub storage: StorageView,
}

/// What is stored.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct StorageView {
    /// The most, in bytes. A tenant that has reached it can read and delete.
    pub limit: Option<u64>,
    /// How many bytes there are.
    pub bytes: u64,
}

/// A window that slides.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WindowView {
    /// `ai` for model calls, `api` for calls to outside services, `requests` for requests to this server.
    pub name: &'static str,
    /// The most that any span may hold.
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: Option<u64>,
    /// The span, in seconds.
    pub window_seconds: u64,
    /// Seconds until more becomes free.
    pub reset_seconds: u64,
}

/// What may be under way at once.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConcurrencyView {
    /// `ai` for model calls, `runs` for runs of workflows.
    pub name: &'static str,
    /// The most.
    pub limit: Option<u64>,
    /// How many there are.
    pub under_way: u64,
}

/// Where the tenant's limits stand.
pub async fn limits<'t>(app: &App, tenant: &Tenant<'t>) -> Result<Private<'t, LimitsView>, Problem> {
    tenant.authorize::<Read<on::Account>>()?;
    let limits = *tenant.standing().limits;
    let mut storage = StorageView { limit: limits.storage_bytes, bytes: 0 };
    app.store.stored(tenant).await?.as_ref().map(|bytes| storage.bytes = *bytes);
    let mut view = LimitsView {
        plan: tenant.standing().plan.clone(),
        limits,
        windows: Vec::new(),
        concurrency: Vec::new(),
        storage,
    };
    for kind in Kind::ALL {
        let LimitStanding { window, standing, parallel, .. } = app.limiter.standing(tenant, kind).await?;
        view.windows.push(WindowView {
            name: kind.as_str(),
            limit: standing.limit,
            remaining: standing.remaining,
            window_seconds: window.span.as_secs(),
            reset_seconds: standing.reset_seconds,
        });
        if parallel.limit.is_some() {
            let under_way = parallel.under_way;
            view.concurrency.push(ConcurrencyView { name: kind.as_str(), limit: parallel.limit, under_way });
        }
    }
    let Standing { limit, remaining, reset_seconds } = app.limiter.requests(tenant).await?;
    view.windows.push(WindowView { name: "requests", limit, remaining, window_seconds: 1, reset_seconds });
    let under_way = app.dispatch.under_way(tenant);
    view.concurrency.push(ConcurrencyView { name: "runs", limit: limits.concurrent_runs, under_way });
    Ok(Private::sent(tenant, view))
}
