//! What was given up: runs that failed, each with the step that failed and its last error.

use crate::App;
use context::{Private, Read, Tenant, door, on};
use env::Timestamp;
use errors::Problem;
use ids::{RunId, WorkflowId};
use money::Usd;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Page, PageRequest, Run, RunStatus, StepRow, StoreError};

/// A run that was given up.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GivenUp {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// When it was given up.
    pub at: Option<Timestamp>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The steps that failed, or of which it is not known whether they took effect.
    pub steps: Vec<GivenUpStep>,
}

/// A step that was given up.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GivenUpStep {
    /// Its node.
    pub node: String,
    /// `failed`, or `unknown` where it may have taken effect.
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What it cost, in US dollars.
    pub cost_usd: Option<Usd>,
}

/// A page of what was given up, newest first.
pub async fn list<'t>(
    app: &App,
    tenant: &Tenant<'t>,
    page: &PageRequest,
) -> Result<Private<'t, Page<GivenUp>>, Problem> {
    let access = tenant.authorize::<Read<on::Run>>()?;
    let runs = app.store.runs(&access, None, Some(RunStatus::Failed), page).await?;
    // The list is what the caller is answered with, so it passes the caller's door already here.
    let runs = door::answer(tenant, runs).map_err(StoreError::from)?;
    let mut data = Vec::with_capacity(runs.data.len());
    for run in runs.data {
        let steps = app.store.steps(&access, run.id).await?;
        let steps = door::answer(tenant, steps).map_err(StoreError::from)?;
        data.push(given_up(run, steps));
    }
    Ok(Private::sent(tenant, Page { data, next_cursor: runs.next_cursor }))
}

fn given_up(run: Run, steps: Vec<StepRow>) -> GivenUp {
    let steps = steps.into_iter().filter(|step| matches!(step.status.as_str(), "failed" | "unknown"));
    let steps = steps.map(|step| GivenUpStep {
        node: step.node,
        status: step.status,
        attempts: step.attempts,
        last_error: step.error,
        cost_usd: step.cost,
    });
    GivenUp {
        run: run.id,
        workflow: run.workflow,
        at: run.finished_at,
        last_error: run.last_error,
        steps: steps.collect(),
    }
}
