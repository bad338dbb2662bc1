//! Audit drafts in the words of the use cases.

use audit::event::{Action, Draft, Outcome, ReasonCode};
use context::Tenant;
use errors::Problem;
use serde_json::Value;

/// A draft of a successful action with small facts beside it.
pub fn note<const N: usize>(
    tenant: &Tenant<'_>,
    action: Action,
    kind: &str,
    id: impl Into<String>,
    details: [(&str, Value); N],
) -> Draft {
    let mut draft = context::event::draft(tenant, action, kind, id);
    draft.details.extend(details.map(|(name, value)| (name.to_owned(), value)));
    draft
}

/// The same draft, for an action that was refused or failed with this problem.
pub fn fail(mut draft: Draft, problem: &Problem) -> Draft {
    draft.result = if problem.code.status() == 403 { Outcome::Denied } else { Outcome::Failure };
    draft.reason_code = Some(ReasonCode::from(problem.code));
    draft
}
