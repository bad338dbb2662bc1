//! [`ModelError`]: how a call to a model fails, what that means for its reservation, and what the caller
//! is told. Never the endpoint's address, the key, or the provider's words beyond a cleaned message about
//! the caller's own fault.

use crate::{KeyOwner, ProviderError};
use context::Crossing;
use errors::{Code, Problem};

/// Why a call did not even leave. It may be made again, and its reservation is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// The name could not be resolved, or nothing accepted the connection.
    #[error("no connection")]
    Connect,
    /// The connection took too long.
    #[error("connecting took too long")]
    ConnectTimeout,
    /// The certificate was not accepted, or TLS failed otherwise.
    #[error("TLS failed")]
    Tls,
    /// The endpoint's configuration makes no request.
    #[error("the endpoint is not configured rightly")]
    BadTarget,
}

/// What took too long, after the call had left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The first piece of the answer.
    FirstByte,
    /// The next piece of the answer.
    Idle,
    /// The whole call.
    Total,
}

/// What a failed call is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Nothing: it never left, or the provider refused it.
    Nothing,
    /// Its prompt and what was emitted: the provider may have done the work.
    PromptAndEmitted,
}

/// How a call fails.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// It never left.
    #[error("the call did not leave: {0}")]
    Unsent(#[from] Unsent),
    /// Too many calls of this tenant, or to this endpoint, are under way.
    #[error("too many calls are under way")]
    Busy,
    /// The endpoint failed too often for this tenant of late.
    #[error("the circuit is open")]
    CircuitOpen {
        /// Seconds until it is tried again.
        retry_after: u64,
    },
    /// The provider answered with an error instead of an answer.
    #[error("the provider refused: {0}")]
    Refused(ProviderError),
    /// The answer took too long.
    #[error("the answer took too long ({0:?})")]
    Timeout(Waiting),
    /// The connection ended, or the provider reported a failure, before the answer was complete.
    #[error("the answer broke off")]
    Broken,
    /// What came is not an answer in the dialect.
    #[error("the answer is not in the dialect: {0}")]
    Garbled(&'static str),
    /// The answer is larger than it may be.
    #[error("the answer is too large")]
    TooLarge,
    /// The request was not this tenant's. It was stopped.
    #[error(transparent)]
    Crossing(#[from] Crossing),
}

impl ModelError {
    /// What the call is charged.
    pub fn charge(&self) -> Charge {
        match self {
            // The provider, or something on the way to it, gave up on what may have been worked on.
            Self::Refused(ProviderError { status: 408 | 499 | 502 | 504 | 520 | 524, .. }) => {
                Charge::PromptAndEmitted
            }
            Self::Unsent(_)
            | Self::Busy
            | Self::CircuitOpen { .. }
            | Self::Refused(_)
            | Self::Crossing(_) => Charge::Nothing,
            Self::Timeout(_) | Self::Broken | Self::Garbled(_) | Self::TooLarge => Charge::PromptAndEmitted,
        }
    }

    /// Whether the call may be made again, or elsewhere, without being done or paid twice.
    pub fn safe_to_retry(&self) -> bool {
        matches!(self, Self::Unsent(_) | Self::Busy | Self::CircuitOpen { .. })
    }
}

impl From<ModelError> for Problem {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unsent(_) => Self::new(
                Code::UpstreamFailed,
                "The model's provider could not be reached. Nothing was charged.",
            )
            .retry_after(2),
            ModelError::Busy => {
                let detail = "Too many model calls are under way. Try again when some have ended.";
                Self::new(Code::ConcurrencyLimited, detail).retry_after(1)
            }
            ModelError::CircuitOpen { retry_after } => Self::new(
                Code::UpstreamFailed,
                "The model's provider failed several times in a row and is left alone for a moment.",
            )
            .retry_after(retry_after.max(1)),
            ModelError::Refused(refusal) => refused(refusal),
            ModelError::Timeout(_) => {
                Self::new(Code::UpstreamTimeout, "The model's provider did not answer in time.")
            }
            ModelError::Broken => {
                Self::new(Code::UpstreamFailed, "The model's answer broke off before it was complete.")
            }
            ModelError::Garbled(_) => {
                Self::new(Code::UpstreamFailed, "The model's provider sent something that is not an answer.")
            }
            ModelError::TooLarge => {
                Self::new(Code::UpstreamFailed, "The model's answer is larger than answers may be.")
            }
            ModelError::Crossing(Crossing) => {
                Self::new(Code::ContentBlocked, "The request held a value that is not this tenant's.")
            }
        }
    }
}

/// Tells the caller of its own faults in the provider's cleaned words, and of nobody else's.
fn refused(refusal: ProviderError) -> Problem {
    let own_key = refusal.key_owner == KeyOwner::Tenant;
    match refusal.status {
        400 | 413 | 422 => match refusal.message {
            Some(message) => {
                let code = if refusal.status == 413 { Code::PayloadTooLarge } else { Code::InvalidRequest };
                let problem =
                    Problem::new(code, format!("The model's provider refused the request: {message}"));
                with_names(problem, refusal.param, refusal.code)
            }
            None => {
                Problem::new(Code::InvalidRequest, "The model's provider refused the request as not valid.")
            }
        },
        // Without an error object it is a wrong path: the endpoint's configuration, not the caller's model.
        404 => match refusal.message {
            Some(message) => {
                let problem =
                    Problem::new(Code::ModelNotFound, format!("The model's provider says: {message}"));
                with_names(problem, refusal.param, refusal.code)
            }
            None => Problem::new(Code::UpstreamFailed, "The model's endpoint did not answer as one."),
        },
        401 | 403 if own_key => Problem::new(
            Code::NeedsReauthorization,
            "The provider refused the credential that you stored for it.",
        ),
        401 | 403 => {
            Problem::new(Code::UpstreamFailed, "The model's provider did not take this server's call.")
        }
        408 | 504 => Problem::new(Code::UpstreamTimeout, "The model's provider did not answer in time."),
        429 => {
            let detail = "The model's provider limits its calls at the moment.";
            Problem::new(Code::UpstreamFailed, detail).retry_after(refusal.retry_after.unwrap_or(5))
        }
        _ => {
            let problem = Problem::new(Code::UpstreamFailed, "The model's provider failed.");
            match refusal.retry_after {
                Some(seconds) => problem.retry_after(seconds),
                None => problem,
            }
        }
    }
}

fn with_names(mut problem: Problem, param: Option<String>, code: Option<String>) -> Problem {
    if let Some(param) = param {
        problem = problem.with("param", param);
    }
    if let Some(code) = code {
        problem = problem.with("provider_code", code);
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::{Charge, ModelError, Unsent, Waiting};
    use crate::{KeyOwner, ProviderError};
    use errors::{Code, Problem};

    fn refused(status: u16, owner: KeyOwner, body: &str) -> Problem {
        let key = secret::SecretText::new("sk-secret-of-the-operator".into());
        Problem::from(ModelError::Refused(ProviderError::read(
            status,
            None,
            body.as_bytes(),
            Some(&key),
            owner,
        )))
    }

    #[test]
    fn only_the_callers_own_faults_are_told_in_the_providers_words() {
        let body =
            r#"{"error":{"message":"too many tokens","param":"messages","code":"context_length_exceeded"}}"#;
        for (status, owner, code, told) in [
            (400, KeyOwner::Operator, Code::InvalidRequest, true),
            (422, KeyOwner::Operator, Code::InvalidRequest, true),
            (413, KeyOwner::Operator, Code::PayloadTooLarge, true),
            (404, KeyOwner::Operator, Code::ModelNotFound, true),
            (401, KeyOwner::Operator, Code::UpstreamFailed, false),
            (403, KeyOwner::Operator, Code::UpstreamFailed, false),
            (401, KeyOwner::Tenant, Code::NeedsReauthorization, false),
            (429, KeyOwner::Operator, Code::UpstreamFailed, false),
            (500, KeyOwner::Operator, Code::UpstreamFailed, false),
            (504, KeyOwner::Operator, Code::UpstreamTimeout, false),
            (302, KeyOwner::Operator, Code::UpstreamFailed, false),
        ] {
            let problem = refused(status, owner, body);
            assert_eq!(problem.code, code, "{status}");
            assert_eq!(problem.detail.contains("too many tokens"), told, "{status}");
            assert_eq!(problem.members.contains_key("provider_code"), told, "{status}");
        }
        assert_eq!(refused(429, KeyOwner::Operator, body).retry_after, Some(5));
        assert_eq!(refused(404, KeyOwner::Operator, "<html>no</html>").code, Code::UpstreamFailed);
    }

    #[test]
    fn what_never_left_costs_nothing_and_what_left_may() {
        for error in [
            ModelError::Unsent(Unsent::Connect),
            ModelError::Busy,
            ModelError::CircuitOpen { retry_after: 1 },
        ] {
            assert!(error.safe_to_retry() && error.charge() == Charge::Nothing);
        }
        for error in [ModelError::Timeout(Waiting::Idle), ModelError::Broken, ModelError::TooLarge] {
            assert!(!error.safe_to_retry() && error.charge() == Charge::PromptAndEmitted);
        }
    }
}
