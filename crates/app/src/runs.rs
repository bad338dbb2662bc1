//! Runs: starting them, looking at them, cancelling them, letting them go on.

mod follow;
mod start;
mod view;

pub use follow::follow;
pub(crate) use start::{Started, Starting, begin};
pub use view::{HeldUp, RunDetail, RunView, StepView};

use crate::dispatch::{Order, OrderKind};
use crate::{App, note};
use audit::event::Action;
use context::{Create, Invoke, Private, Read, ReadContent, Tenant, Update, on};
use errors::Problem;
use ids::{RunId, WorkflowId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use store::{IdempotencyClaim, Objects, Page, PageRequest, RunMode, RunStatus, Workflow};
use workflow::NodeName;

/// How long after the minute in which it was last seen a tenant's own worker counts as gone.
const WORKER_GONE: Duration = Duration::from_secs(90);
/// How long after it was last seen a pool counts as without a worker.
const POOL_GONE: Duration = Duration::from_secs(15);
const CANCEL: Action = Action::new("run.cancel");
const RETRY: Action = Action::new("run.retry");

/// What a run is started with.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// What the run works on: `input` in templates.
    #[serde(default)]
    pub input: Value,
    /// Whether effects are carried out.
    #[serde(default)]
    pub mode: RunMode,
}

/// Where a run goes on.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryRun {
    /// The step to go on from; whatever failed where absent.
    pub from_step: Option<NodeName>,
}

/// A run, as starting and ordering answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunRef {
    /// Its id.
    pub id: RunId,
    /// Where it stands.
    pub status: RunStatus,
}

/// Starts a run of a workflow.
pub async fn start<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    workflow: WorkflowId,
    input: NewRun,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, RunRef>, Problem> {
    let access = tenant.authorize::<Create<on::Run>>()?;
    let using = tenant.authorize::<Invoke<on::Workflow>>()?;
    let found = app.store.get_to_use::<Workflow>(&using, &workflow.to_string()).await?;
    let starting = Starting { input: input.input, mode: input.mode, delivery: None, claim, event: None };
    let started = begin(app, &access, found.map(|(workflow, _)| workflow), starting).await?;
    let (Started::New(id) | Started::Repeated(id)) = started;
    Ok(Private::sent(tenant, RunRef { id, status: RunStatus::Queued }))
}

/// A page of runs, newest first.
pub async fn list<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    workflow: Option<WorkflowId>,
    status: Option<RunStatus>,
    page: &PageRequest,
) -> Result<Private<'t, Page<RunView>>, Problem> {
    let access = tenant.authorize::<Read<on::Run>>()?;
    let runs = app.store.runs(&access, workflow, status, page).await?;
    Ok(runs.map(|page| page.map(RunView::from)))
}

/// One run with its steps; with what passed through them where the principal may see that.
pub async fn get<'t>(app: &App, tenant: &Tenant<'t>, id: RunId) -> Result<Private<'t, RunDetail>, Problem> {
    let access = tenant.authorize::<Read<on::Run>>()?;
    let run = app.store.run(&access, id).await?;
    let content = match tenant.authorize::<ReadContent<on::Run>>() {
        Ok(access) => {
            app.store.steps_with_content(&access, id).await?.map(|(input, steps)| (Some(input), steps))
        }
        Err(_) => app.store.steps(&access, id).await?.map(|steps| (None, steps)),
    };
    let both = run.zip(content).map_err(store::StoreError::from)?;
    let held_up = held_up(app, tenant).await?;
    Ok(both.map(|(run, (input, steps))| RunDetail::of((run, held_up), input, steps)))
}

/// What keeps the tenant's runs from going on: the worker that it has for itself is not there, or none of its pool. A
/// worker of its own asks five times a second where the tenant stands, of which the minute is kept; one of a pool says
/// every few seconds that it is there.
async fn held_up(app: &App, tenant: &Tenant<'_>) -> Result<Option<HeldUp>, Problem> {
    let standing = tenant.standing();
    let (missing, last_seen, gone) = match &standing.pool {
        _ if standing.own_worker => ("own_worker", app.platform.own_worker_seen(tenant).await?, WORKER_GONE),
        Some(pool) => ("pool_worker", app.platform.pool_seen(pool).await?, POOL_GONE),
        None => return Ok(None),
    };
    let is_gone = last_seen.is_none_or(|seen| app.env.now() > seen.plus(gone));
    Ok(is_gone.then(|| HeldUp { missing: missing.to_owned(), last_seen }))
}

/// Whether the principal sees what passed through runs.
pub fn sees_content(tenant: &Tenant<'_>) -> bool {
    tenant.authorize::<ReadContent<on::Run>>().is_ok()
}

/// Ends a run. One that was cancelled before stays so; another that is over is a conflict.
pub async fn cancel<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: RunId,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, RunRef>, Problem> {
    let event = note(tenant, CANCEL, "run", id.to_string(), []);
    order(app, tenant, id, Order { kind: OrderKind::Cancel, event, claim }).await
}

/// Lets a run that is over go on.
pub async fn retry<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: RunId,
    input: RetryRun,
    claim: Option<IdempotencyClaim>,
) -> Result<Private<'t, RunRef>, Problem> {
    let from = input.from_step;
    let event = note(tenant, RETRY, "run", id.to_string(), [("from_step", json!(from))]);
    order(app, tenant, id, Order { kind: OrderKind::Retry { from }, event, claim }).await
}

async fn order<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    id: RunId,
    order: Order,
) -> Result<Private<'t, RunRef>, Problem> {
    tenant.authorize::<Update<on::Run>>()?;
    // That the run is this tenant's is asked here, in the visit of whoever orders.
    let reading = tenant.authorize::<Read<on::Run>>()?;
    app.store.run(&reading, id).await?;
    let status = app.dispatch.order(tenant, id, order).await?;
    Ok(Private::sent(tenant, RunRef { id, status }))
}
