//! [`LimitError`]: why a call is not admitted, and what the caller is told.

use crate::Kind;
use errors::{Code, Problem};
use metering::budget::{BudgetExceeded, BudgetScope};
use metering::window::Refusal;

/// The limits cannot be read, so nothing is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimiterUnavailable {
    /// For now.
    #[error("the limits cannot be read now")]
    ForNow,
    /// Until the tenant's own store is mended.
    #[error("the tenant's store is out of service")]
    TenantStore,
}

impl From<LimiterUnavailable> for Problem {
    fn from(unavailable: LimiterUnavailable) -> Self {
        match unavailable {
            LimiterUnavailable::ForNow => {
                Self::new(Code::Unavailable, "The limits cannot be read now. Try again.").retry_after(1)
            }
            LimiterUnavailable::TenantStore => {
                Self::new(Code::TenantUnavailable, "This tenant's store is out of service.").retry_after(60)
            }
        }
    }
}

/// Why a request or call is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Too many requests to the server within a second.
    #[error("too many requests: {0}")]
    Requests(Refusal),
    /// The window holds no more calls of this kind.
    #[error("too many calls: {1}")]
    Window(Kind, Refusal),
    /// As many calls are under way as may be.
    #[error("{1} calls are under way")]
    Parallel(Kind, u64),
    /// A budget does not cover the call.
    #[error(transparent)]
    Budget(#[from] BudgetExceeded),
    /// There is no price for the call, and a budget covers it.
    #[error("a budget covers the call, and there is no price for it")]
    Unpriced,
    /// The limits cannot be read.
    #[error(transparent)]
    Unavailable(#[from] LimiterUnavailable),
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Requests(refusal) => Self::from(refusal).with("window", "requests"),
            LimitError::Window(kind, refusal) => Self::from(refusal).with("window", kind.as_str()),
            LimitError::Parallel(kind, limit) => {
                let detail = format!("{limit} calls of this tenant are under way, as many as there may be.");
                Self::new(Code::ConcurrencyLimited, detail)
                    .with("limit", limit)
                    .with("window", kind.as_str())
                    .retry_after(1)
            }
            LimitError::Budget(exceeded) => over_budget(exceeded),
            LimitError::Unpriced => Self::new(
                Code::UnpricedModel,
                "There is no price for this model, and a money budget covers the call.",
            ),
            LimitError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

fn over_budget(exceeded: BudgetExceeded) -> Problem {
    let BudgetExceeded { scope, per, .. } = exceeded;
    let problem = Problem::from(exceeded).with("per", per.to_string());
    let (name, id) = match scope {
        BudgetScope::Tenant => return problem.with("scope", "tenant"),
        BudgetScope::Key(id) => ("key", id.to_string()),
        BudgetScope::Agent(id) => ("agent", id.to_string()),
        BudgetScope::Workflow(id) => ("workflow", id.to_string()),
    };
    problem.with("scope", name).with("scope_id", id)
}

#[cfg(test)]
mod tests {
    use super::LimitError;
    use crate::Kind;
    use errors::{Code, Problem};
    use metering::budget::{BudgetExceeded, BudgetScope, Per};
    use metering::window::Refusal;

    #[test]
    fn refusals_say_what_to_do() {
        let refusal = Refusal { limit: 3, remaining: 0, retry_after_seconds: 40 };
        let problem = Problem::from(LimitError::Window(Kind::Ai, refusal));
        assert_eq!((problem.code, problem.retry_after), (Code::RateLimited, Some(40)));
        assert_eq!(problem.members["window"], "ai");
        let exceeded = BudgetExceeded {
            scope: BudgetScope::Tenant,
            per: Per::Day,
            limit: "1".parse().unwrap(),
            reserved: "0.25".parse().unwrap(),
            spent: "0.5".parse().unwrap(),
            resets_in_seconds: 7,
        };
        let problem = Problem::from(LimitError::Budget(exceeded));
        assert_eq!(problem.retry_after, Some(7));
        let members = problem.members;
        let told = ["scope", "per", "limit", "reserved", "spent"].map(|name| members[name].as_str().unwrap());
        assert_eq!(told, ["tenant", "day", "1.00", "0.25", "0.50"]);
    }
}
