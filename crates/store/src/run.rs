//! Runs and their steps: what the workflow engine's journal and cursor look like at rest.
//!
//! The engine's state and events are opaque here. One [`RunUpdate`] is one durable commit: the steps that
//! moved, the events that say so, and the cursor, which moves only from where it was read.

use crate::{Commit, Page, PageRequest, Payer, StoreError};
use async_trait::async_trait;
use context::{Access, Create, Delete, Private, Read, ReadContent, Update, on};
use env::Timestamp;
use ids::{RunId, StepId, WorkflowId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Accepted, and waiting for a place.
    Queued,
    /// Steps are being carried out.
    Running,
    /// Waiting for a time or an event; it holds no place.
    Waiting,
    /// Every node that was reached has done its work.
    Succeeded,
    /// A step failed for good.
    Failed,
    /// Someone ended it.
    Cancelled,
}

impl RunStatus {
    /// Whether nothing more will happen by itself.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The status's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// Whether effects are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunMode {
    /// They are.
    #[default]
    Live,
    /// They are recorded and not sent.
    DryRun,
}

/// A run, without the content that passed through it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The workflow that it is a run of.
    pub workflow: WorkflowId,
    /// Where it stands.
    pub status: RunStatus,
    /// Whether effects are carried out.
    pub mode: RunMode,
    /// Who started it.
    pub started_by: String,
    /// Whose key and agent its calls are charged to: those of whoever started it.
    #[serde(default)]
    pub payer: Payer,
    /// What went wrong last, in words fit for the tenant.
    pub last_error: Option<String>,
    /// When it next does something by itself, where it waits.
    pub due: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Counts its commits, from 1.
    pub cursor: u64,
}

/// A run with all that is needed to go on with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    /// The run.
    pub run: Run,
    /// The definition's text, as it was when the run began.
    pub definition: String,
    /// The configuration, as it was when the run began.
    pub config: Value,
    /// What started it.
    pub input: Value,
    /// The engine's state, as its JSON; once the run has moved, without that of its steps.
    pub state: String,
}

/// A step of a run, at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// Its id.
    pub id: StepId,
    /// The node that it carries out.
    pub node: String,
    /// The node's type.
    pub kind: String,
    /// Where it stands.
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What went in. Content.
    pub input: Option<Value>,
    /// What came out. Content.
    pub output: Option<Value>,
    /// What went wrong last, in words fit for the tenant.
    pub error: Option<String>,
    /// What it cost, in US dollars.
    pub cost: Option<money::Usd>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The engine's state of it, as its JSON.
    #[serde(skip)]
    pub state: String,
}

/// One move of a run.
#[derive(Clone, Debug)]
pub struct RunUpdate {
    /// The run as it is after the move; its `cursor` is one more than the stored one.
    pub run: Run,
    /// The engine's state after the move, as its JSON, without that of its steps.
    pub state: String,
    /// The steps that changed.
    pub steps: Vec<StepRow>,
    /// The engine's events, in order, each with the time it happened. Whoever may see the run sees them, so
    /// they hold no content.
    pub events: Vec<(Timestamp, Value)>,
}

/// An event of a run as it was journaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Its place in the run's journal, from 0.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, without content.
    pub event: Value,
}

/// What came of accepting a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownDelivery {
    /// It is new, and a run was made.
    New,
    /// It came before, and this run was made then.
    Repeated(RunId),
}

/// Keeps runs.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Adds a run. With a delivery id, one that came before for the same workflow adds nothing.
    async fn create_run(
        &self,
        access: &Access<'_, Create<on::Run>>,
        run: StoredRun,
        delivery: Option<String>,
        commit: Commit,
    ) -> Result<UnknownDelivery, StoreError>;

    /// How many bytes the tenant's plan leaves for what runs make; `None` where it sets no bound. What moves
    /// a run is written also when nothing is left, so that every run can end.
    async fn room(&self, access: &Access<'_, Update<on::Run>>) -> Result<Option<u64>, StoreError>;

    /// Moves a run, if its cursor is where it was read.
    async fn move_run(
        &self,
        access: &Access<'_, Update<on::Run>>,
        update: RunUpdate,
        commit: Commit,
    ) -> Result<(), StoreError>;

    /// A run with all that is needed to go on with it, its steps with their content among that.
    async fn load_run<'t>(
        &self,
        access: &Access<'t, Update<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (StoredRun, Vec<StepRow>)>, StoreError>;

    /// A run.
    async fn run<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Run>, StoreError>;

    /// A run's steps, without their content.
    async fn steps<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Vec<StepRow>>, StoreError>;

    /// A run's input and steps, with their content.
    async fn steps_with_content<'t>(
        &self,
        access: &Access<'t, ReadContent<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (Value, Vec<StepRow>)>, StoreError>;

    /// A run's journaled events with this number and later ones, in order, at most `limit`.
    async fn run_events<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<RunEvent>>, StoreError>;

    /// A page of runs, newest first, of one workflow and status where they are given.
    async fn runs<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        workflow: Option<WorkflowId>,
        status: Option<RunStatus>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Run>>, StoreError>;

    /// How many runs one [`RunStore::forget_runs`] would remove.
    async fn forgettable_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Removes the content and journal of runs that finished before `before`, some at a time; gives back how
    /// many. Where there are none, nothing of the commit is written either.
    async fn forget_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError>;
}
