//! Forgetting what is too old: runs that ended longer ago than their tenant's plan keeps them, and single
//! calls, whose sums stay.

use crate::worker::Shared;
use app::{App, note};
use audit::event::Action;
use authz::SystemPrincipal;
use context::{Delete, Refusal, RequestFacts, Tenant, on};
use env::Timestamp;
use errors::Problem;
use ids::TenantId;
use std::sync::Arc;
use std::time::Duration;
use store::{Commit, StoreError};

const FORGET: Action = Action::new("run.forget");
const FORGET_CALLS: Action = Action::new("usage.forget");
const DAY: Duration = Duration::from_secs(24 * 3600);
/// When the first look is taken after a start, so that it does not slow the start down.
const FIRST: Duration = Duration::from_secs(10);
/// Tenants looked at before others get their turn.
const AT_ONCE: u32 = 20;
const BETWEEN: Duration = Duration::from_secs(1);
/// How long single calls are kept. Longer than any of them is under way, and than reports ask for parts of
/// hours.
const CALLS_KEPT_DAYS: u64 = 40;
/// How often one tenant is asked in a round; each time some hundred are forgotten at the most.
const MOST_TIMES: usize = 50;

/// Looks at every tenant once a day.
pub(crate) async fn keep(shared: Arc<Shared>) {
    tokio::time::sleep(FIRST).await;
    loop {
        if let Err(error) = round(&shared).await {
            tracing::error!(%error, "old runs could not be looked for");
        }
        tokio::time::sleep(DAY).await;
    }
}

async fn round(shared: &Shared) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let tenants = shared.app.store.tenants_at_rest(after, AT_ONCE).await?;
        let Some(last) = tenants.last().copied() else { return Ok(()) };
        for tenant in tenants {
            match forget(&shared.app, tenant).await {
                Ok(0) => {}
                Ok(runs) => tracing::info!(tenant.id = %tenant, runs, "forgot old runs"),
                Err(problem) => tracing::error!(tenant.id = %tenant, %problem, "old runs were not forgotten"),
            }
        }
        after = Some(last);
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Forgets what is too old of one tenant; gives back how many runs that were.
async fn forget(app: &App, tenant: TenantId) -> Result<u64, Problem> {
    let facts = RequestFacts::internal(app.env.id());
    let admitted = app.authenticator.admit_system(SystemPrincipal::Retention, tenant, None, facts).await;
    let admission = match admitted {
        // A suspended tenant's runs are forgotten when it takes part again, a deleted one has none.
        Err(Refusal::Suspended | Refusal::Unauthorized) => return Ok(0),
        admitted => admitted?,
    };
    admission
        .enter(async |tenant| {
            forget_calls(app, &tenant).await?;
            let Some(days) = tenant.standing().limits.retention_days else { return Ok(0) };
            let before = days_ago(app.env.now(), days);
            let access = tenant.authorize::<Delete<on::Run>>()?;
            let mut all = 0;
            for _ in 0..MOST_TIMES {
                let count = app.store.forgettable_runs(&access, before).await?;
                if count == 0 {
                    break;
                }
                let facts = [("before", before.to_string().into()), ("count", count.into())];
                let event = note(&tenant, FORGET, "run", "old", facts);
                all += app.store.forget_runs(&access, before, Commit::event(event)).await?;
            }
            Ok(all)
        })
        .await
}

async fn forget_calls(app: &App, tenant: &Tenant<'_>) -> Result<(), Problem> {
    let before = days_ago(app.env.now(), CALLS_KEPT_DAYS);
    let access = tenant.authorize::<Delete<on::Usage>>()?;
    for _ in 0..MOST_TIMES {
        let event = note(tenant, FORGET_CALLS, "usage", "old", [("before", before.to_string().into())]);
        if app.store.forget_calls(&access, before, Commit::event(event)).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn days_ago(now: Timestamp, days: u64) -> Timestamp {
    let span = DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.millis().saturating_sub(millis))
}
