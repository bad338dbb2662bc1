//! From a problem to what the engine makes of it.

use env::Timestamp;
use errors::{Code, Problem};
use money::Usd;
use std::time::Duration;
use workflow::Outcome;
use workflow::engine::{StepError, StepErrorCode};

/// What a problem means for an attempt that had no effect, or may be repeated.
pub(super) fn of(problem: Problem, now: Timestamp) -> Outcome {
    let failed = |code, retryable, message: String| Outcome::Failed {
        error: StepError::new(code, message),
        retryable,
        cost: None,
    };
    match problem.code {
        Code::RateLimited | Code::ConcurrencyLimited => {
            let wait = Duration::from_secs(problem.retry_after.unwrap_or(1));
            Outcome::RateLimited { until: now.plus(wait) }
        }
        // It goes on when the tenant takes part again.
        Code::TenantSuspended => Outcome::RateLimited { until: now },
        Code::BudgetExceeded => Outcome::BudgetExceeded { message: problem.detail },
        Code::UpstreamFailed | Code::UpstreamTimeout => {
            failed(StepErrorCode::UpstreamFailed, true, problem.detail)
        }
        Code::Unavailable | Code::TenantUnavailable | Code::Internal | Code::PreconditionFailed => {
            failed(StepErrorCode::Internal, true, problem.detail)
        }
        Code::InvalidRequest | Code::PayloadTooLarge | Code::FieldNotAllowed => {
            failed(StepErrorCode::InvalidRequest, false, problem.detail)
        }
        _ => failed(StepErrorCode::Refused, false, problem.detail),
    }
}

/// The same, for an attempt that was charged all the same.
pub(super) fn charged(problem: Problem, paid: Usd, now: Timestamp) -> Outcome {
    match of(problem, now) {
        Outcome::Failed { error, retryable, .. } if !paid.is_zero() => {
            Outcome::Failed { error, retryable, cost: Some(paid) }
        }
        outcome => outcome,
    }
}

/// A request that no attempt will make right.
pub(super) fn invalid(message: impl Into<String>) -> Outcome {
    let error = StepError::new(StepErrorCode::InvalidRequest, message);
    Outcome::Failed { error, retryable: false, cost: None }
}
