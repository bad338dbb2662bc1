//! What a meter is restored from: the rows of calls, and the budgets.

use crate::meter::{Budgets, Charged, Meter};
use context::{Crossing, Private, Tenant};
use env::Timestamp;
use limiter::{Kind, LimiterUnavailable, PlannedCall};
use metering::budget::{BudgetScope, Per};
use std::time::Duration;
use store::{Budget, Call, CallKind, MeterState, ObjectStore, Objects, PageRequest, StoreError, UsageStore};

const HOUR: Duration = Duration::from_secs(3600);

/// The stores that meters are restored from.
pub(crate) trait Source: UsageStore + ObjectStore {}

impl<S: UsageStore + ObjectStore + ?Sized> Source for S {}

/// The meter of a tenant as its rows have it. No call may be under way here.
pub(crate) async fn meter(
    source: &(impl Source + ?Sized),
    tenant: &Tenant<'_>,
    now: Timestamp,
) -> Result<Meter, LimiterUnavailable> {
    let budgets = budgets(source, tenant).await?;
    let state = state(source, tenant, now).await?;
    let mut meter = Meter::new();
    for (kind, at) in state.recent {
        meter.restore_use(kind_of(kind), at);
    }
    let charged = state.charged.into_iter().map(charged).collect();
    for call in state.open {
        meter.restore_open(planned(&call));
    }
    meter.set_budgets(budgets, charged, now);
    Ok(meter)
}

/// The calls charged since the month's beginning.
pub(crate) async fn charges(
    source: &(impl Source + ?Sized),
    tenant: &Tenant<'_>,
    now: Timestamp,
) -> Result<Vec<Charged>, LimiterUnavailable> {
    Ok(state(source, tenant, now).await?.charged.into_iter().map(charged).collect())
}

/// The budgets that are set.
pub(crate) async fn budgets(
    source: &(impl Source + ?Sized),
    tenant: &Tenant<'_>,
) -> Result<Budgets, LimiterUnavailable> {
    let mut found = Budgets::new();
    let mut page = PageRequest::largest();
    loop {
        let listed = source.budgets_in_force(tenant, &page).await.map_err(unavailable)?;
        let mut next = None;
        own(tenant, listed, |page| {
            for (budget, _) in page.data {
                match read(tenant, &budget) {
                    Some((key, usd)) => {
                        found.insert(key, usd);
                    }
                    None => tracing::error!(tenant.id = %tenant.id(), "a budget at rest cannot be read"),
                }
            }
            next = page.next_cursor;
        })?;
        match next {
            None => return Ok(found),
            cursor => page.cursor = cursor,
        }
    }
}

async fn state(
    source: &(impl Source + ?Sized),
    tenant: &Tenant<'_>,
    now: Timestamp,
) -> Result<MeterState, LimiterUnavailable> {
    let rows = source.meter_state(tenant, now.minus(HOUR), now.month()).await.map_err(unavailable)?;
    let mut state = MeterState::default();
    own(tenant, rows, |rows| state = rows)?;
    Ok(state)
}

/// Takes a tenant's counts into its own meter: they are kept under the id that they prove to be of.
fn own<'t, T>(
    tenant: &Tenant<'t>,
    value: Private<'t, T>,
    keep: impl FnOnce(T),
) -> Result<(), LimiterUnavailable> {
    let proven = Private::sent(tenant, ()).zip(value).map_err(|Crossing| {
        tracing::error!(tenant.id = %tenant.id(), "rows of another tenant were stopped");
        LimiterUnavailable::TenantStore
    })?;
    proven.map(|((), value)| keep(value));
    Ok(())
}

fn unavailable(error: StoreError) -> LimiterUnavailable {
    match error {
        StoreError::TenantUnavailable | StoreError::Crossing => LimiterUnavailable::TenantStore,
        _ => LimiterUnavailable::ForNow,
    }
}

fn read(tenant: &Tenant<'_>, budget: &Budget) -> Option<((BudgetScope, Per), money::Usd)> {
    let scope = match budget.scope.as_str() {
        "tenant" => (budget.id == tenant.id().to_string()).then_some(BudgetScope::Tenant)?,
        "key" => BudgetScope::Key(budget.id.parse().ok()?),
        "agent" => BudgetScope::Agent(budget.id.parse().ok()?),
        "workflow" => BudgetScope::Workflow(budget.id.parse().ok()?),
        _ => return None,
    };
    let per = Per::ALL.into_iter().find(|per| per.to_string() == budget.per)?;
    Some(((scope, per), budget.usd))
}

fn kind_of(kind: CallKind) -> Kind {
    match kind {
        CallKind::Model => Kind::Ai,
        CallKind::Service => Kind::Api,
    }
}

fn planned(call: &Call) -> PlannedCall {
    PlannedCall {
        id: call.id,
        kind: kind_of(call.kind),
        scopes: call.scopes(),
        worst_case: Some(call.reserved),
        at: call.started_at,
        lease_until: call.lease_until,
    }
}

fn charged((call, cost): (Call, money::Usd)) -> Charged {
    Charged { call: call.id, scopes: call.scopes(), at: call.started_at, cost }
}
