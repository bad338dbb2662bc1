//! What a meter is restored from: the rows of calls, and the budgets.

use crate::meter::{Budgets, Charged, Charges, Meter, Sum};
use context::{Crossing, Private, Tenant};
use env::Timestamp;
use limiter::LimiterUnavailable;
use metering::budget::{BudgetScope, Per};
use std::time::Duration;
use store::{
    Budget, Call, LookBack, MeterState, ObjectStore, Objects, PageRequest, Spent, StoreError, UsageStore,
};

const HOUR: Duration = Duration::from_secs(3600);
/// Within this time of its outcome being durable a call is settled here. Those that ended earlier are told by
/// their sums.
const MOMENTS: Duration = Duration::from_secs(120);

/// The stores that meters are restored from.
pub trait Source: UsageStore + ObjectStore {}

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
    for (kind, at, count) in state.recent {
        meter.restore_uses(kind.into(), at, count);
    }
    for call in &state.open {
        meter.restore_open(call.into());
    }
    meter.set_budgets(budgets, Charges::of(state.charged, state.spent), now);
    Ok(meter)
}

/// What was charged since the month's beginning.
pub(crate) async fn charges(
    source: &(impl Source + ?Sized),
    tenant: &Tenant<'_>,
    now: Timestamp,
) -> Result<Charges, LimiterUnavailable> {
    let state = state(source, tenant, now).await?;
    Ok(Charges::of(state.charged, state.spent))
}

/// The budgets that are set.
pub async fn budgets(
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

/// What the rows of the tenant's calls tell.
pub async fn state(
    source: &(impl Source + ?Sized),
    tenant: &Tenant<'_>,
    now: Timestamp,
) -> Result<MeterState, LimiterUnavailable> {
    let back = LookBack { uses: now.minus(HOUR), charges: now.month(), moments: now.minus(MOMENTS) };
    let rows = source.meter_state(tenant, back).await.map_err(unavailable)?;
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

impl Charges {
    fn of(calls: Vec<(Call, money::Usd)>, spent: Vec<Spent>) -> Self {
        let charged = |(call, cost): (Call, money::Usd)| Charged {
            call: call.id,
            scopes: call.scopes(),
            at: call.started_at,
            cost,
        };
        let sum = |spent: Spent| Sum { scopes: spent.scopes(), at: spent.hour, cost: spent.cost };
        Self { calls: calls.into_iter().map(charged).collect(), sums: spent.into_iter().map(sum).collect() }
    }
}
