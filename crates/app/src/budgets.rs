//! Budgets: limits on what a tenant, a key, an agent or a workflow spends.

use crate::{App, note};
use audit::event::Action;
use context::{Delete, Private, Read, Tenant, Update, on};
use env::Timestamp;
use errors::Problem;
use metering::budget::{BudgetScope, BudgetStanding, Per};
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Agent, ApiKeyRecord, Budget, Commit, IdempotencyClaim, Objects, Page, StoreError, Workflow};

const PUT: Action = Action::new("budget.put");
const DELETE: Action = Action::new("budget.delete");

/// What a budget is to be.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetInput {
    /// The period, which begins at midnight UTC.
    pub per: Per,
    /// The most that a period may cost, in US dollars.
    pub usd: Usd,
}

/// A budget, and where it stands in its present period.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BudgetView {
    /// `tenant`, `key`, `agent` or `workflow`.
    pub scope: &'static str,
    /// The id of what is limited.
    pub id: String,
    /// The period.
    pub per: Per,
    /// The most that a period may cost.
    pub usd: Usd,
    /// What calls under way hold at the most.
    pub reserved: Usd,
    /// What calls that ended cost.
    pub spent: Usd,
    /// When the present period began.
    pub period_start: Timestamp,
    /// When the next period begins.
    pub period_end: Timestamp,
}

/// Sets a budget. It holds for the next call, and knows what was spent in the period before it was set.
pub async fn put<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    (scope, id): (&str, &str),
    input: BudgetInput,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, BudgetView>, Problem> {
    let access = tenant.authorize::<Update<on::Budget>>()?;
    let wanted = known(app, tenant, scope, id).await?;
    let per = input.per.to_string();
    let event = note(
        tenant,
        PUT,
        "budget",
        format!("{scope}/{id}"),
        [("per", json!(per)), ("usd", json!(input.usd.to_string()))],
    );
    let budget = Budget { scope: scope.to_owned(), id: id.to_owned(), per, usd: input.usd };
    app.store.put(&access, &budget, None, Commit::event(event).claiming(claim)).await?;
    app.limiter.refresh_budgets(tenant).await?;
    let standings = app.limiter.budgets(tenant).await?;
    let set = standings.into_iter().find(|it| it.scope == wanted && it.per == input.per);
    // Somebody may have taken it away by now: then it is as it was written, and nothing was counted in it.
    let now = app.env.now();
    let written = BudgetStanding {
        scope: wanted,
        per: input.per,
        limit: input.usd,
        reserved: Usd::ZERO,
        spent: Usd::ZERO,
        period_start: input.per.start(now),
        period_end: input.per.end(now),
    };
    Ok(Private::sent(tenant, view(tenant, set.unwrap_or(written))))
}

/// Where the budgets stand. There are few: they are one page.
pub async fn list<'t>(app: &App, tenant: &Tenant<'t>) -> Result<Private<'t, Page<BudgetView>>, Problem> {
    tenant.authorize::<Read<on::Budget>>()?;
    let standings = app.limiter.budgets(tenant).await?;
    let data = standings.into_iter().map(|standing| view(tenant, standing)).collect();
    Ok(Private::sent(tenant, Page { data, next_cursor: None }))
}

/// Takes a budget away: that of one period, or those of both.
pub async fn delete(
    app: &App,
    tenant: &Tenant<'_>,
    (scope, id): (&str, &str),
    per: Option<Per>,
    mut claim: Option<IdempotencyClaim>,
) -> Result<(), Problem> {
    let access = tenant.authorize::<Delete<on::Budget>>()?;
    let mut removed = 0;
    for period in Per::ALL.into_iter().filter(|period| per.is_none_or(|per| per == *period)) {
        let event =
            note(tenant, DELETE, "budget", format!("{scope}/{id}"), [("per", json!(period.to_string()))]);
        let commit = Commit::event(event).claiming(claim.take());
        let budget = format!("{scope}/{id}/{period}");
        match app.store.remove::<Budget>(&access, &budget, None, commit.clone()).await {
            Ok(()) => removed += 1,
            // Nothing was written, so the claim is still to be made.
            Err(StoreError::NotFound) => claim = commit.claim,
            Err(error) => return Err(error.into()),
        }
    }
    if removed == 0 {
        return Err(Problem::not_found());
    }
    Ok(app.limiter.refresh_budgets(tenant).await?)
}

/// What the path names, if the tenant has it.
async fn known(app: &App, tenant: &Tenant<'_>, scope: &str, id: &str) -> Result<BudgetScope, Problem> {
    match scope {
        "tenant" if id == tenant.id().to_string() => Ok(BudgetScope::Tenant),
        "key" => {
            let access = tenant.authorize::<Read<on::ApiKey>>()?;
            app.store.get::<ApiKeyRecord>(&access, id).await?;
            id.parse().map(BudgetScope::Key).map_err(|_| Problem::not_found())
        }
        "agent" => {
            let access = tenant.authorize::<Read<on::Agent>>()?;
            app.store.get::<Agent>(&access, id).await?;
            id.parse().map(BudgetScope::Agent).map_err(|_| Problem::not_found())
        }
        "workflow" => {
            let access = tenant.authorize::<Read<on::Workflow>>()?;
            app.store.get::<Workflow>(&access, id).await?;
            id.parse().map(BudgetScope::Workflow).map_err(|_| Problem::not_found())
        }
        _ => Err(Problem::not_found()),
    }
}

fn view(tenant: &Tenant<'_>, standing: BudgetStanding) -> BudgetView {
    let BudgetStanding { scope, per, limit, reserved, spent, period_start, period_end } = standing;
    let (scope, id) = match scope {
        BudgetScope::Tenant => ("tenant", tenant.id().to_string()),
        BudgetScope::Key(id) => ("key", id.to_string()),
        BudgetScope::Agent(id) => ("agent", id.to_string()),
        BudgetScope::Workflow(id) => ("workflow", id.to_string()),
    };
    BudgetView { scope, id, per, usd: limit, reserved, spent, period_start, period_end }
}
