//! What happened to a run, as it is journaled. Nothing in an event needs a clock, chance or a template to
//! be applied again.

use super::error::StepError;
use super::state::{Mode, Reason, RunStatus};
use super::values::Delivered;
use crate::definition::NodeName;
use env::Timestamp;
use ids::{RunId, StepId, WorkflowId};
use money::Usd;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How a run begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Whether effects happen.
    pub mode: Mode,
    /// When its time is up.
    pub deadline: Timestamp,
    /// The id of each node's step.
    pub steps: BTreeMap<NodeName, StepId>,
    /// What started it.
    pub input: Value,
    /// The instance's configuration.
    pub config: Value,
    /// The delivery that started it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivered>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run was made and is queued.
    Opened(Box<Opening>),
    /// It got a slot.
    Admitted,
    /// The engine evaluated a source, condition or transform.
    Evaluated {
        /// Which step.
        node: NodeName,
        /// What it made.
        output: Value,
        /// The branch that a condition chose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
    },
    /// The engine could not evaluate a step, or render its request; nothing was attempted.
    Rejected {
        /// Which step.
        node: NodeName,
        /// Why.
        error: StepError,
    },
    /// No edge to the step was taken.
    Skipped {
        /// Which step.
        node: NodeName,
    },
    /// A step before this one failed.
    Blocked {
        /// Which step.
        node: NodeName,
    },
    /// An attempt begins. Once this is durable, the effect may happen.
    Attempted {
        /// Which step.
        node: NodeName,
        /// Which attempt, from 1.
        attempt: u32,
        /// When its time is up.
        deadline: Timestamp,
    },
    /// An attempt brought an output.
    Succeeded {
        /// Which step.
        node: NodeName,
        /// Which attempt.
        attempt: u32,
        /// What it made.
        output: Value,
        /// What it cost.
        cost: Option<Usd>,
    },
    /// An attempt failed, timed out, or is of unknown outcome.
    Failed {
        /// Which step.
        node: NodeName,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        result: super::AttemptResult,
        /// Why.
        error: StepError,
        /// What it cost.
        cost: Option<Usd>,
        /// When it is tried again. None: it is not.
        retry_at: Option<Timestamp>,
    },
    /// A limit refused an attempt before it had an effect.
    RateLimited {
        /// Which step.
        node: NodeName,
        /// Which attempt.
        attempt: u32,
        /// When the window has room.
        until: Timestamp,
    },
    /// Nothing can be done before this time; the slot is free.
    Parked {
        /// When there is something to do.
        until: Timestamp,
    },
    /// Somebody cancelled the run, or its time was up.
    Stopped {
        /// Which of the two.
        reason: Reason,
    },
    /// The run is over.
    Finished {
        /// How.
        status: RunStatus,
        /// Why it did not succeed.
        reason: Option<Reason>,
    },
    /// A run that was over goes on.
    Reopened {
        /// The steps that begin again.
        reset: Vec<NodeName>,
        /// When its time is up now.
        deadline: Timestamp,
    },
}
