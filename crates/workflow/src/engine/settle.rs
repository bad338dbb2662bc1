//! How an attempt ends: with an output, with another attempt later, or for good.

use super::decide::Decider;
use super::error::{StepError, StepErrorCode};
use super::event::EventKind;
use super::input::Outcome;
use super::state::{AttemptResult, Mode};
use super::{MAX_RUN_BYTES, MAX_UNKNOWN_OUTCOMES, MAX_VALUE_BYTES};
use crate::definition::{Http, Kind, Node, NodeName, OnUnknown, fits};
use crate::template::bytes_of;
use env::Timestamp;
use money::Usd;
use serde_json::Value;
use std::time::Duration;

/// The shortest wait for a window, so that one that is said to be over at once does not spin.
const MIN_WINDOW_WAIT: Duration = Duration::from_secs(1);

/// A failed attempt, before it is decided whether another follows.
struct Failure {
    result: AttemptResult,
    error: StepError,
    retryable: bool,
    cost: Option<Usd>,
}

impl Decider<'_> {
    /// Takes the outcome of an attempt, if that attempt is under way.
    pub(super) fn settle(&mut self, node: &NodeName, attempt: u32, outcome: Outcome) {
        let current = self.run.steps.get(node).and_then(|step| step.current());
        if current.is_none_or(|current| current.number != attempt) {
            return;
        }
        let definition = self.definition;
        let Some(node) = definition.node(node) else { return };
        match outcome {
            Outcome::Succeeded { output, cost } => self.accept(node, attempt, output, cost),
            Outcome::Failed { error, retryable, cost } => {
                let result = AttemptResult::Failed;
                self.fail(node, attempt, Failure { result, error, retryable, cost });
            }
            Outcome::BudgetExceeded { message } => {
                let error = StepError::new(StepErrorCode::BudgetExceeded, message);
                let result = AttemptResult::Failed;
                self.fail(node, attempt, Failure { result, error, retryable: false, cost: None });
            }
            Outcome::RateLimited { until } => {
                let until = until.max(self.moment.now.plus(MIN_WINDOW_WAIT));
                self.record(EventKind::RateLimited { node: node.id.clone(), attempt, until });
            }
            Outcome::Unknown => self.settle_unknown(node, attempt),
        }
    }

    /// An attempt whose time is up. Whether it took effect is not known, so it is repeated only where the
    /// node's `on_unknown` says so; then it counts as an attempt that failed.
    pub(super) fn settle_timeout(&mut self, node: &Node, attempt: u32) {
        let result = AttemptResult::TimedOut;
        let seconds = node.timeout().as_secs();
        let failure = match node.on_unknown() {
            OnUnknown::Retry => {
                let message = format!("The attempt took longer than {seconds} s.");
                let error = StepError::new(StepErrorCode::TimedOut, message);
                Failure { result, error, retryable: true, cost: None }
            }
            OnUnknown::Stop => {
                let message = format!(
                    "The attempt took longer than {seconds} s. It may have taken effect; check before you \
                     retry."
                );
                let error = StepError::new(StepErrorCode::OutcomeUnknown, message);
                Failure { result, error, retryable: false, cost: None }
            }
        };
        self.fail(node, attempt, failure);
    }

    fn settle_unknown(&mut self, node: &Node, attempt: u32) {
        let unknown = self.run.steps.get(&node.id).map_or(0, |step| step.unknown);
        let again = node.on_unknown() == OnUnknown::Retry && unknown < MAX_UNKNOWN_OUTCOMES;
        let message = "The server stopped while this was performed. It may have taken effect; check before \
                       you retry.";
        self.record(EventKind::Failed {
            node: node.id.clone(),
            attempt,
            result: AttemptResult::Unknown,
            error: StepError::new(StepErrorCode::OutcomeUnknown, message),
            cost: None,
            retry_at: again.then(|| self.retry_at(node, attempt, unknown + 1)),
        });
    }

    fn accept(&mut self, node: &Node, attempt: u32, mut output: Value, cost: Option<Usd>) {
        let checked = match &node.kind {
            Kind::Http(http) if self.run.mode == Mode::DryRun => {
                // Nobody answered, so what is expected did come.
                let status = http.expect_status.as_ref().and_then(|statuses| statuses.first());
                if let (Some(status), Some(members)) = (status, output.as_object_mut()) {
                    members.insert("status".to_owned(), (*status).into());
                }
                Ok(())
            }
            Kind::Http(http) => expected(http, &output),
            Kind::Ai(ai) if self.run.mode == Mode::Live => match &ai.output_schema {
                Some(schema) => fits(schema, &output)
                    .map_err(|reason| (StepError::new(StepErrorCode::OutputMismatch, reason), true)),
                None => Ok(()),
            },
            _ => Ok(()),
        };
        let bounded = checked.and_then(|()| self.bounded(&node.id, output).map_err(|error| (error, false)));
        match bounded {
            Ok(output) => {
                self.record(EventKind::Succeeded { node: node.id.clone(), attempt, output, cost });
            }
            Err((error, retryable)) => {
                let result = AttemptResult::Failed;
                self.fail(node, attempt, Failure { result, error, retryable, cost });
            }
        }
    }

    fn fail(&mut self, node: &Node, attempt: u32, failure: Failure) {
        let counted = self.run.steps.get(&node.id).map_or(0, |step| step.counted);
        let again = failure.retryable && counted < node.retry().max_attempts;
        self.record(EventKind::Failed {
            node: node.id.clone(),
            attempt,
            result: failure.result,
            error: failure.error,
            cost: failure.cost,
            retry_at: again.then(|| self.retry_at(node, attempt, counted)),
        });
    }

    /// When the attempt after the `count`th failed one begins: exponential backoff of which a random part
    /// between one half and all is waited.
    fn retry_at(&self, node: &Node, attempt: u32, count: u32) -> Timestamp {
        let backoff = node.retry().backoff;
        let growth = u64::from(backoff.factor).saturating_pow(count.saturating_sub(1));
        let seconds = u64::from(backoff.initial_seconds).saturating_mul(growth);
        let millis = seconds.min(u64::from(backoff.max_seconds)).saturating_mul(1_000);
        let salt = self.run.definition_salt(&node.id) ^ u64::from(attempt);
        let wait = millis / 2 + self.moment.chance.below(millis / 2 + 1, salt);
        self.moment.now.plus(Duration::from_millis(wait))
    }

    /// The output, if it and all outputs together are within the limits.
    pub(super) fn bounded(&mut self, node: &NodeName, output: Value) -> Result<Value, StepError> {
        let bytes = bytes_of(&output);
        let refuse = |what: &str, limit: usize| {
            let message = format!("{what} is over {limit} bytes. Ask for less, or store it as a record.");
            Err(StepError::new(StepErrorCode::OutputTooLarge, message))
        };
        if bytes > MAX_VALUE_BYTES {
            return refuse("The output", MAX_VALUE_BYTES);
        }
        if bytes + self.run.values.bytes_without(node) > MAX_RUN_BYTES {
            return refuse("What this run made", MAX_RUN_BYTES);
        }
        let made = self.made.saturating_add(bytes);
        if self.moment.room.is_some_and(|room| u64::try_from(made).is_ok_and(|made| made > room)) {
            let message = "The tenant's storage has no room for the output. Delete something, or ask for a \
                           larger plan. What the step did outside stays done.";
            return Err(StepError::new(StepErrorCode::QuotaExceeded, message));
        }
        self.made = made;
        Ok(output)
    }
}

impl super::Run {
    /// Steps that fail at the same moment shall not all come back at the same moment.
    fn definition_salt(&self, node: &NodeName) -> u64 {
        self.steps.keys().position(|other| other == node).map_or(0, |position| position as u64 + 1) << 32
    }
}

/// Whether the status is one that the node takes for success, and if not whether a retry may help.
fn expected(http: &Http, output: &Value) -> Result<(), (StepError, bool)> {
    let Some(status) = output.get("status").and_then(Value::as_u64) else {
        let error = StepError::new(StepErrorCode::Internal, "The answer has no status.");
        return Err((error, false));
    };
    let taken = match &http.expect_status {
        Some(statuses) => statuses.iter().any(|taken| u64::from(*taken) == status),
        None => (200..300).contains(&status),
    };
    if taken {
        return Ok(());
    }
    let message = format!("The service answered with status {status}.");
    let retryable = matches!(status, 408 | 425 | 429 | 500..=599);
    Err((StepError::new(StepErrorCode::UnexpectedStatus, message), retryable))
}
