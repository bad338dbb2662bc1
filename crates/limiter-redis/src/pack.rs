//! How calls, scopes and budgets are written in Redis.

use env::Timestamp;
use limiter::{Kind, PlannedCall};
use metering::budget::{BudgetScope, Per};
use std::fmt::Write as _;

/// The keys of one tenant, in the order in which the script knows them. They share a hash tag.
pub(crate) fn keys(tenant: ids::TenantId) -> [String; 13] {
    ["m", "a", "p", "c", "l", "e", "o", "b", "g", "k", "w", "x", "r"]
        .map(|part| format!("tenantry:{{{tenant}}}:{part}"))
}

pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Ai => "a",
        Kind::Api => "p",
    }
}

pub(crate) fn scope(scope: &BudgetScope) -> String {
    match scope {
        BudgetScope::Tenant => "tenant".into(),
        BudgetScope::Key(id) => id.to_string(),
        BudgetScope::Agent(id) => id.to_string(),
        BudgetScope::Workflow(id) => id.to_string(),
    }
}

/// The scopes of a call in the order of their budgets.
pub(crate) fn scopes(of: &[BudgetScope]) -> String {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.iter().map(scope).collect::<Vec<_>>().join(",")
}

/// The field of a budget.
pub(crate) fn field(of: &BudgetScope, per: Per) -> String {
    let per = match per {
        Per::Day => 'd',
        Per::Month => 'm',
    };
    format!("{} {per}", scope(of))
}

/// The budget of a field.
pub(crate) fn budget(field: &str) -> Option<(BudgetScope, Per)> {
    let (scope, per) = field.rsplit_once(' ')?;
    let per = match per {
        "d" => Per::Day,
        "m" => Per::Month,
        _ => return None,
    };
    let scope = match scope {
        "tenant" => BudgetScope::Tenant,
        id => None
            .or_else(|| id.parse().ok().map(BudgetScope::Key))
            .or_else(|| id.parse().ok().map(BudgetScope::Agent))
            .or_else(|| id.parse().ok().map(BudgetScope::Workflow))?,
    };
    Some((scope, per))
}

/// A call that is not counted as under way. Its periods come along, as the script knows no calendar.
pub(crate) fn call(of: &PlannedCall) -> String {
    let PlannedCall { kind: what, scopes: covered, worst_case, at, lease_until, .. } = of;
    let mut text = String::new();
    let (day, month) = (at.day().millis(), at.month().millis());
    let written = write!(
        text,
        "{}|0|{}|{}|{}|{day}|{month}|{}",
        kind(*what),
        worst_case.unwrap_or_default(),
        moment(*lease_until),
        at.millis(),
        scopes(covered),
    );
    debug_assert!(written.is_ok(), "text takes what is written to it");
    text
}

/// A moment that a double holds exactly.
pub(crate) fn moment(at: Timestamp) -> i64 {
    const MOST: i64 = 1 << 52;
    at.millis().clamp(-MOST, MOST)
}
