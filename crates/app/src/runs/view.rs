//! Runs and steps as callers see them.

use env::Timestamp;
use ids::{RunId, StepId, WorkflowId};
use money::Usd;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::{Run, RunMode, RunStatus, StepRow};

/// A run, without its steps.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// The workflow that it is a run of.
    pub workflow: WorkflowId,
    /// Where it stands.
    pub status: RunStatus,
    /// Whether effects are carried out.
    pub mode: RunMode,
    /// Who started it: a key, an agent, a user or a hook.
    pub started_by: String,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it next does something by itself, where it waits.
    pub due: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let Run { id, workflow, status, mode, started_by, last_error, due, .. } = run;
        let Run { created_at, updated_at, finished_at, .. } = run;
        Self { id, workflow, status, mode, started_by, last_error, due, created_at, updated_at, finished_at }
    }
}

/// A step of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StepView {
    /// Its id.
    pub id: StepId,
    /// The node that it carries out.
    pub node: String,
    /// The node's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `pending`, `ready`, `running`, `waiting`, `succeeded`, `failed`, `skipped`, `cancelled` or `unknown`.
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What went in; null without the scope `runs:content`.
    pub input: Option<Value>,
    /// What came out; null without the scope `runs:content`.
    pub output: Option<Value>,
    /// What went wrong last.
    pub error: Option<String>,
    /// What it cost, in US dollars.
    pub cost_usd: Option<Usd>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl From<StepRow> for StepView {
    fn from(row: StepRow) -> Self {
        let StepRow { id, node, kind, status, attempts, input, output, error, .. } = row;
        let StepRow { cost: cost_usd, started_at, finished_at, .. } = row;
        Self { id, node, kind, status, attempts, input, output, error, cost_usd, started_at, finished_at }
    }
}

/// Why a run that could go on does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HeldUp {
    /// What is missing: `own_worker`, the worker that the tenant has for itself, or `pool_worker`, any worker of the pool
    /// that its plan names.
    pub missing: String,
    /// When that was last there, to the minute or closer; null where it never was.
    pub last_seen: Option<Timestamp>,
}

/// A run with its steps.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: RunView,
    /// What all steps cost together, in US dollars.
    pub cost_usd: Usd,
    /// What started it; absent without the scope `runs:content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What keeps it from going on, where nobody is there who would carry it out.
    pub held_up: Option<HeldUp>,
    /// Its steps, in the order in which they were first reached; those of one millisecond in the definition's.
    pub steps: Vec<StepView>,
}

impl RunDetail {
    pub(super) fn of(
        (run, held_up): (Run, Option<HeldUp>),
        input: Option<Value>,
        mut steps: Vec<StepRow>,
    ) -> Self {
        let held_up = held_up.filter(|_| matches!(run.status, RunStatus::Queued | RunStatus::Running));
        steps.sort_by_key(|step| (step.started_at.is_none(), step.started_at, step.finished_at, step.id));
        let cost_usd = steps.iter().filter_map(|step| step.cost).sum();
        Self {
            run: run.into(),
            cost_usd,
            input,
            held_up,
            steps: steps.into_iter().map(StepView::from).collect(),
        }
    }
}
