//! What a run is at a moment.

use super::error::StepError;
use super::values::{Delivered, Values};
use crate::definition::NodeName;
use env::Timestamp;
use ids::{RunId, StepId, WorkflowId};
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether effects happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They do.
    #[default]
    Live,
    /// They are recorded, not carried out; outputs are simulated and say so.
    DryRun,
}

impl Mode {
    /// The text that templates see as `run.mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::DryRun => "dry_run",
        }
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Waits for a slot.
    Queued,
    /// Holds a slot.
    Running,
    /// Waits for a time and holds no slot.
    Waiting,
    /// Over: every step that was reached succeeded.
    Succeeded,
    /// Over: a step failed, or the time was up.
    Failed,
    /// Over: somebody cancelled it.
    Cancelled,
}

impl RunStatus {
    /// Whether it is over, unless it is opened again.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Waits for steps before it.
    Pending,
    /// Could begin.
    Ready,
    /// Is being performed.
    Running,
    /// Waits for a time: a backoff, or a window that is full.
    Waiting,
    /// Over, with an output.
    Succeeded,
    /// Over: every attempt failed, or one in a way that a retry cannot cure.
    Failed,
    /// Over: no edge that leads to it was taken.
    Skipped,
    /// Over: the run was cancelled, its time was up, or a step before it failed.
    Cancelled,
    /// Over: it is not known whether it took effect, and its node says to stop.
    Unknown,
}

impl StepStatus {
    /// Whether it is over, unless the run is opened again.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Ready | Self::Running | Self::Waiting)
    }
}

/// Why a run did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// This step failed.
    StepFailed {
        /// Its node.
        node: NodeName,
        /// Its last error.
        error: StepError,
    },
    /// It is not known whether this step took effect.
    OutcomeUnknown {
        /// Its node.
        node: NodeName,
    },
    /// The run took longer than its definition allows.
    RunTimedOut,
    /// Somebody cancelled it.
    Cancelled,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// It brought an output.
    Succeeded,
    /// It failed.
    Failed,
    /// A limit refused it before it had an effect; it does not count.
    RateLimited,
    /// A crash left its outcome unknown; it does not count.
    Unknown,
    /// Its time was up; it may have had an effect.
    TimedOut,
    /// It was called off; it may have had an effect.
    Aborted,
}

/// One try of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// From 1, over the whole life of the step.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When its time is up.
    pub deadline: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub result: Option<AttemptResult>,
    /// What went wrong.
    pub error: Option<StepError>,
    /// What it cost.
    pub cost: Option<Usd>,
}

/// A node in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// Where it is.
    pub status: StepStatus,
    /// The branch that a condition chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// When a waiting step goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// Its last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What all attempts cost, those that are not remembered any more among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) spent: Option<Usd>,
    /// The latest attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Attempts begun over its whole life.
    pub(super) begun: u32,
    /// Attempts that count towards `max_attempts` since the run was last opened.
    pub(super) counted: u32,
    /// Attempts of unknown outcome since the run was last opened.
    pub(super) unknown: u32,
    /// How often it was reset after it had succeeded; the idempotency key is another then.
    pub(super) generation: u32,
}

impl Step {
    pub(super) fn new(id: StepId) -> Self {
        Self {
            id,
            status: StepStatus::Pending,
            branch: None,
            wake_at: None,
            error: None,
            ended_at: None,
            spent: None,
            attempts: Vec::new(),
            begun: 0,
            counted: 0,
            unknown: 0,
            generation: 0,
        }
    }

    /// Attempts that counted towards `max_attempts` since the run was last opened.
    pub fn attempts_counted(&self) -> u32 {
        self.counted
    }

    /// The attempt that is under way.
    pub fn current(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| self.status == StepStatus::Running && attempt.result.is_none())
    }

    /// What all attempts cost; `None` where none cost anything.
    pub fn cost(&self) -> Option<Usd> {
        self.spent
    }
}

/// A run. Serialises without its [`Values`], which are journaled with the steps they belong to, and with its
/// steps, unless [`Run::without_steps`] says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub(super) id: RunId,
    pub(super) workflow: WorkflowId,
    pub(super) mode: Mode,
    pub(super) status: RunStatus,
    pub(super) reason: Option<Reason>,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) deadline: Timestamp,
    pub(super) sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delivery: Option<Delivered>,
    #[serde(default)]
    pub(super) steps: BTreeMap<NodeName, Step>,
    #[serde(skip)]
    pub(super) values: Values,
}

/// A run as it serialises where each of its steps is kept by itself.
#[derive(Serialize)]
struct WithoutSteps<'a> {
    id: RunId,
    workflow: WorkflowId,
    mode: Mode,
    status: RunStatus,
    reason: &'a Option<Reason>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    deadline: Timestamp,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: &'a Option<Delivered>,
}

impl Run {
    /// Its id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The workflow whose run this is.
    pub fn workflow(&self) -> WorkflowId {
        self.workflow
    }

    /// Whether effects happen.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Where it is.
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// Why it did not succeed.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When it first got a slot.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// When it was over.
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }

    /// When its time is up.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// How many events made it: the cursor that a commit compares.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Its steps by node.
    pub fn steps(&self) -> impl Iterator<Item = (&NodeName, &Step)> {
        self.steps.iter()
    }

    /// The step of a node.
    pub fn step_of(&self, node: &NodeName) -> Option<&Step> {
        self.steps.get(node)
    }

    /// Input, configuration and outputs.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Puts the values back after the run was deserialised without them.
    #[must_use]
    pub fn with_values(mut self, values: Values) -> Self {
        self.values = values;
        self
    }

    /// The run as it serialises where each of its steps is kept by itself.
    pub fn without_steps(&self) -> impl Serialize {
        WithoutSteps {
            id: self.id,
            workflow: self.workflow,
            mode: self.mode,
            status: self.status,
            reason: &self.reason,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            deadline: self.deadline,
            sequence: self.sequence,
            delivery: &self.delivery,
        }
    }

    /// Puts steps back that were kept by themselves.
    #[must_use]
    pub fn with_steps(mut self, steps: impl IntoIterator<Item = (NodeName, Step)>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// What all attempts of all steps cost.
    pub fn cost(&self) -> Usd {
        self.steps.values().filter_map(Step::cost).sum()
    }

    /// When it next has something to do by itself: the earliest deadline or end of a wait.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.status.is_over() {
            return None;
        }
        let deadlines = self.steps.values().filter_map(|step| step.current().map(|attempt| attempt.deadline));
        let waits = self.steps.values().filter_map(|step| step.wake_at);
        deadlines.chain(waits).chain([self.deadline]).min()
    }
}
