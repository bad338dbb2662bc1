//! How events change a run. No clock, no chance, no template: replaying is exact.

use super::MAX_REMEMBERED_ATTEMPTS;
use super::error::{StepError, StepErrorCode};
use super::event::{Event, EventKind};
use super::state::{Attempt, AttemptResult, Run, RunStatus, Step, StepStatus};
use crate::definition::{Definition, NodeName};
use env::Timestamp;
use money::Usd;
use serde_json::Value;

/// What the edges that lead to a node say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// A step before it is not over.
    Closed,
    /// At least one edge is taken.
    Open,
    /// All edges are decided and none is taken.
    Skip,
    /// A step before it failed or was cancelled.
    Blocked,
}

impl Run {
    /// Applies an event that was journaled.
    pub(super) fn apply(&mut self, definition: &Definition, event: &Event) {
        self.sequence += 1;
        let at = event.at;
        match &event.kind {
            EventKind::Opened(_) => {}
            EventKind::Admitted => {
                self.status = RunStatus::Running;
                self.started_at.get_or_insert(at);
            }
            EventKind::Parked { .. } => self.status = RunStatus::Waiting,
            EventKind::Stopped { reason } => {
                self.reason = Some(reason.clone());
                for step in self.steps.values_mut().filter(|step| !step.status.is_over()) {
                    step.end_attempt(at, AttemptResult::Aborted, None, None);
                    step.end(at, StepStatus::Cancelled, None);
                }
            }
            EventKind::Finished { status, reason } => {
                self.status = *status;
                self.reason.clone_from(reason);
                self.finished_at = Some(at);
            }
            EventKind::Reopened { reset, deadline } => self.reopen(reset, *deadline),
            EventKind::Evaluated { node, output, branch } => {
                self.succeed(node, at, output, branch.clone(), None);
            }
            EventKind::Succeeded { node, output, cost, .. } => self.succeed(node, at, output, None, *cost),
            kind => self.apply_to_step(at, kind),
        }
        self.open_gates(definition);
    }

    fn apply_to_step(&mut self, at: Timestamp, kind: &EventKind) {
        let node = match kind {
            EventKind::Rejected { node, .. }
            | EventKind::Skipped { node }
            | EventKind::Blocked { node }
            | EventKind::Attempted { node, .. }
            | EventKind::Failed { node, .. }
            | EventKind::RateLimited { node, .. } => node,
            _ => return,
        };
        let Some(step) = self.steps.get_mut(node) else { return };
        match kind {
            EventKind::Rejected { error, .. } => step.end(at, StepStatus::Failed, Some(error.clone())),
            EventKind::Skipped { .. } => step.end(at, StepStatus::Skipped, None),
            EventKind::Blocked { .. } => {
                let error = StepError::new(StepErrorCode::UpstreamStepFailed, "A step before it failed.");
                step.end(at, StepStatus::Cancelled, Some(error));
            }
            EventKind::Attempted { attempt, deadline, .. } => step.begin(at, *attempt, *deadline),
            EventKind::Failed { result, error, cost, retry_at, .. } => {
                step.end_attempt(at, *result, Some(error.clone()), *cost);
                if *result == AttemptResult::Unknown {
                    step.counted = step.counted.saturating_sub(1);
                    step.unknown += 1;
                }
                match (retry_at, error.code) {
                    (Some(until), _) => step.wait(*until, Some(error.clone())),
                    (None, StepErrorCode::OutcomeUnknown) => {
                        step.end(at, StepStatus::Unknown, Some(error.clone()));
                    }
                    (None, _) => step.end(at, StepStatus::Failed, Some(error.clone())),
                }
            }
            EventKind::RateLimited { until, .. } => {
                step.end_attempt(at, AttemptResult::RateLimited, None, None);
                step.counted = step.counted.saturating_sub(1);
                step.wait(*until, None);
            }
            _ => {}
        }
    }

    fn succeed(
        &mut self,
        node: &NodeName,
        at: Timestamp,
        output: &Value,
        branch: Option<String>,
        cost: Option<Usd>,
    ) {
        let Some(step) = self.steps.get_mut(node) else { return };
        step.end_attempt(at, AttemptResult::Succeeded, None, cost);
        step.end(at, StepStatus::Succeeded, None);
        step.branch = branch;
        self.values.outputs.insert(node.clone(), output.clone());
    }

    fn reopen(&mut self, reset: &[NodeName], deadline: Timestamp) {
        self.status = RunStatus::Queued;
        self.reason = None;
        self.finished_at = None;
        self.deadline = deadline;
        for node in reset {
            self.values.outputs.remove(node);
            let Some(step) = self.steps.get_mut(node) else { continue };
            if step.status == StepStatus::Succeeded {
                step.generation += 1;
            }
            step.status = StepStatus::Pending;
            step.branch = None;
            step.wake_at = None;
            step.error = None;
            step.ended_at = None;
            step.counted = 0;
            step.unknown = 0;
        }
    }

    /// Pending steps whose gate is open are ready.
    fn open_gates(&mut self, definition: &Definition) {
        for (position, node) in definition.nodes.iter().enumerate() {
            let pending = self.steps.get(&node.id).is_some_and(|step| step.status == StepStatus::Pending);
            if pending
                && self.gate(definition, position) == Gate::Open
                && let Some(step) = self.steps.get_mut(&node.id)
            {
                step.status = StepStatus::Ready;
            }
        }
    }

    pub(super) fn gate(&self, definition: &Definition, position: usize) -> Gate {
        let incoming = &definition.graph.incoming[position];
        let (mut closed, mut taken) = (false, incoming.is_empty());
        for edge in incoming.iter().map(|edge| &definition.edges[*edge]) {
            let Some(from) = self.steps.get(&edge.from) else { continue };
            match from.status {
                StepStatus::Succeeded => taken |= edge.when.is_none() || edge.when == from.branch,
                StepStatus::Skipped => {}
                StepStatus::Failed | StepStatus::Unknown | StepStatus::Cancelled => return Gate::Blocked,
                _ => closed = true,
            }
        }
        match (closed, taken) {
            (true, _) => Gate::Closed,
            (false, true) => Gate::Open,
            (false, false) => Gate::Skip,
        }
    }
}

impl Step {
    fn begin(&mut self, at: Timestamp, number: u32, deadline: Timestamp) {
        self.status = StepStatus::Running;
        self.wake_at = None;
        self.begun = number;
        self.counted += 1;
        if self.attempts.len() == MAX_REMEMBERED_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt {
            number,
            started_at: at,
            deadline,
            ended_at: None,
            result: None,
            error: None,
            cost: None,
        });
    }

    fn end_attempt(
        &mut self,
        at: Timestamp,
        result: AttemptResult,
        error: Option<StepError>,
        cost: Option<Usd>,
    ) {
        let running = self.status == StepStatus::Running;
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| running && attempt.result.is_none())
        {
            attempt.ended_at = Some(at);
            attempt.result = Some(result);
            attempt.error = error;
            attempt.cost = cost;
            if let Some(cost) = cost {
                self.spent = Some([self.spent, Some(cost)].into_iter().flatten().sum());
            }
        }
    }

    fn wait(&mut self, until: Timestamp, error: Option<StepError>) {
        self.status = StepStatus::Waiting;
        self.wake_at = Some(until);
        self.error = error;
    }

    fn end(&mut self, at: Timestamp, status: StepStatus, error: Option<StepError>) {
        self.status = status;
        self.wake_at = None;
        self.error = error;
        self.ended_at = Some(at);
    }
}
