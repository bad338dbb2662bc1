//! Why a step failed, and why a run could not begin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A stable code of a step's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepErrorCode {
    /// A template could not be evaluated; often a value that is not defined.
    TemplateFailed,
    /// A condition yielded neither true, false nor a short text.
    ConditionType,
    /// A template yielded a value that its field does not take.
    InvalidRequest,
    /// The outside service could not be reached or answered with an error.
    UpstreamFailed,
    /// The answer's status is not one that the node expects.
    UnexpectedStatus,
    /// The model's answer does not fit `output_schema`.
    OutputMismatch,
    /// The output, or all outputs together, are over the limit.
    OutputTooLarge,
    /// The tenant's storage has no room for the output.
    QuotaExceeded,
    /// The attempt took too long.
    TimedOut,
    /// It is not known whether the attempt took effect.
    OutcomeUnknown,
    /// The budget does not cover the call.
    BudgetExceeded,
    /// The server refused to carry it out: the host, the credential or the model is not allowed.
    Refused,
    /// A step before it failed.
    UpstreamStepFailed,
    /// A fault of ours.
    Internal,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepError {
    /// For programs.
    pub code: StepErrorCode,
    /// For people. Holds no secret.
    pub message: String,
}

impl StepError {
    /// An error with this code and message, which is cut at 1,000 characters.
    pub fn new(code: StepErrorCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(1_000) {
            message.truncate(end);
        }
        Self { code, message }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

/// A run could not begin, or could not be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The input is over [`super::MAX_VALUE_BYTES`].
    #[error("the input has {0} bytes, more than a run takes")]
    InputTooLarge(usize),
    /// The journal does not begin with the run's opening.
    #[error("the journal does not begin with `opened`")]
    NoOpening,
    /// The journal's opening and the definition have different nodes.
    #[error("the journal is of another definition")]
    OtherDefinition,
}
