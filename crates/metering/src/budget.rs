//! The money ledger of one tenant: what its budgets allow, what calls under way hold, what is spent.
//!
//! A call reserves the most that it can cost before it leaves, in every budget that covers it or in none,
//! and is settled at what it did cost. So calls in parallel cannot pass a limit together. A reservation is a
//! lease: one whose call never came back is charged in full when the lease ends. Everything is charged to
//! the period in which it was reserved.

mod call;
#[cfg(test)]
mod tests;

pub use call::{Closed, Reservation};

use call::{Call, Calls};
use env::Timestamp;
use errors::{Code, Problem};
use ids::{AgentId, CallId, KeyId, WorkflowId};
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Periods that a budget remembers: the present one, and earlier ones for calls that end late.
const PERIODS_KEPT: usize = 4;

/// What a budget covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "scope", content = "id")]
pub enum BudgetScope {
    /// Everything that the tenant spends.
    Tenant,
    /// What calls with this key spend.
    Key(KeyId),
    /// What this agent spends.
    Agent(AgentId),
    /// What runs of this workflow spend.
    Workflow(WorkflowId),
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => out.write_str("tenant"),
            Self::Key(id) => write!(out, "key {id}"),
            Self::Agent(id) => write!(out, "agent {id}"),
            Self::Workflow(id) => write!(out, "workflow {id}"),
        }
    }
}

/// A budget's period, which begins and ends at midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Per {
    /// Both periods.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// When the period that holds this moment began.
    pub fn start(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Day => at.day(),
            Self::Month => at.month(),
        }
    }

    /// When the period that holds this moment ends, and the next one begins.
    pub fn end(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Day => at.next_day(),
            Self::Month => at.next_month(),
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

/// A budget does not cover the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the budget of {limit} a {per} for the {scope} has {reserved} reserved and {spent} spent")]
pub struct BudgetExceeded {
    /// What the budget covers.
    pub scope: BudgetScope,
    /// The budget's period.
    pub per: Per,
    /// The most that a period may cost.
    pub limit: Usd,
    /// What calls under way hold.
    pub reserved: Usd,
    /// What calls that ended cost.
    pub spent: Usd,
    /// Seconds until the period ends and the next one begins.
    pub resets_in_seconds: u64,
}

impl From<BudgetExceeded> for Problem {
    fn from(exceeded: BudgetExceeded) -> Self {
        let BudgetExceeded { scope, per, limit, reserved, spent, resets_in_seconds } = exceeded;
        Self::new(
            Code::BudgetExceeded,
            format!("The budget of {limit} USD a {per} for the {scope} does not cover this call."),
        )
        .with("limit", limit.to_string())
        .with("reserved", reserved.to_string())
        .with("spent", spent.to_string())
        .retry_after(resets_in_seconds)
    }
}

/// Where a budget stands in its present period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BudgetStanding {
    /// What the budget covers.
    #[serde(flatten)]
    pub scope: BudgetScope,
    /// The budget's period.
    pub per: Per,
    /// The most that a period may cost.
    pub limit: Usd,
    /// What calls under way hold.
    pub reserved: Usd,
    /// What calls that ended cost.
    pub spent: Usd,
    /// When the present period began.
    pub period_start: Timestamp,
    /// When the next period begins.
    pub period_end: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    reserved: Usd,
    spent: Usd,
}

#[derive(Clone, Debug)]
struct Budget {
    limit: Usd,
    /// By the period's start; the newest few.
    periods: BTreeMap<Timestamp, Totals>,
}

impl Budget {
    fn totals(&self, start: Timestamp) -> Totals {
        self.periods.get(&start).copied().unwrap_or_default()
    }

    /// Changes the totals of a period; of one that is no longer remembered, nothing.
    fn change(&mut self, start: Timestamp, change: impl FnOnce(&mut Totals)) {
        if self.periods.len() >= PERIODS_KEPT && !self.periods.contains_key(&start) {
            if self.periods.keys().next().is_some_and(|oldest| start < *oldest) {
                return;
            }
            self.periods.pop_first();
        }
        change(self.periods.entry(start).or_default());
    }
}

/// The budgets of one tenant and the calls that hold money in them.
///
/// Only scopes that have a budget are tracked, so it is as large as the number of budgets and of calls under
/// way. It lives in memory; [`Ledger::restore_spent`] and [`Ledger::restore_reservation`] rebuild it from
/// what the store kept.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    budgets: BTreeMap<(BudgetScope, Per), Budget>,
    calls: Calls,
}

impl Ledger {
    /// A ledger without budgets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a budget. `spent` is what the scope's calls that ended have cost in the present period so far; it
    /// counts only where there was no such budget, since an existing one knows. What calls under way hold is
    /// taken over from the ledger.
    pub fn set_budget(&mut self, scope: BudgetScope, per: Per, limit: Usd, spent: Usd, now: Timestamp) {
        if let Some(budget) = self.budgets.get_mut(&(scope, per)) {
            budget.limit = limit;
            return;
        }
        let mut budget = Budget { limit, periods: BTreeMap::new() };
        budget.change(per.start(now), |totals| totals.spent = spent);
        for call in self.calls.open().filter(|call| call.scopes.contains(&scope)) {
            let hold = |totals: &mut Totals| totals.reserved = totals.reserved.plus(call.worst_case);
            budget.change(per.start(call.at), hold);
        }
        self.budgets.insert((scope, per), budget);
    }

    /// Takes a budget away; calls under way are not touched. Whether there was one.
    pub fn remove_budget(&mut self, scope: BudgetScope, per: Per) -> bool {
        self.budgets.remove(&(scope, per)).is_some()
    }

    /// Whether any budget covers one of these scopes, so that a call that cannot be priced must be refused.
    pub fn covers(&self, scopes: &[BudgetScope]) -> bool {
        self.budgets.keys().any(|(scope, _)| scopes.contains(scope))
    }

    /// Holds `worst_case` in every budget of the call's scopes, or in none and says which one is short.
    ///
    /// A call that holds already keeps what it holds. The id of a call that ended makes a new reservation, and
    /// what it was charged before stays charged.
    pub fn reserve(
        &mut self,
        call: CallId,
        scopes: &[BudgetScope],
        worst_case: Usd,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Reservation, BudgetExceeded> {
        if let Some(held) = self.calls.find_open(call) {
            return Ok(held.reservation(call));
        }
        for ((scope, per), budget) in self.budgets.iter().filter(|((scope, _), _)| scopes.contains(scope)) {
            let Totals { reserved, spent } = budget.totals(per.start(now));
            let left = budget.limit.minus(spent).minus(reserved);
            if worst_case > left {
                return Err(BudgetExceeded {
                    scope: *scope,
                    per: *per,
                    limit: budget.limit,
                    reserved,
                    spent,
                    resets_in_seconds: per.end(now).since(now).as_secs() + 1,
                });
            }
        }
        Ok(self.hold(call, scopes, worst_case, lease_until, now))
    }

    /// Ends a call at its cost, in place of what it held or was charged. The cost may exceed the reservation;
    /// it is then counted in full before the next call is admitted.
    ///
    /// A call whose lease had ended, or that had been released, is corrected to this cost; the last thousand of
    /// them are known. `None` where the call is not known or is settled already: nothing changes.
    pub fn settle(&mut self, call: CallId, cost: Usd) -> Option<Closed> {
        if let Some(open) = self.calls.close(call) {
            self.unhold(&open);
            self.charge(&open, Usd::ZERO, cost);
            return Some(open.closed(call, cost));
        }
        let (late, charged) = self.calls.recall(call)?;
        self.charge(&late, charged, cost);
        Some(late.closed(call, cost))
    }

    /// Ends a call that never left: what it held is free again. `None` where it holds nothing.
    pub fn release(&mut self, call: CallId) -> Option<Closed> {
        let open = self.calls.close(call)?;
        self.unhold(&open);
        let closed = open.closed(call, Usd::ZERO);
        self.calls.remember(call, open, Usd::ZERO);
        Some(closed)
    }

    /// Gives a call that is still under way more time. Whether it held anything.
    pub fn extend(&mut self, call: CallId, lease_until: Timestamp) -> bool {
        self.calls.extend(call, lease_until)
    }

    /// Charges every call whose lease has ended its whole reservation, and says which and how much.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Closed> {
        let mut expired = Vec::new();
        while let Some(call) = self.calls.first_ended(now) {
            let Some(open) = self.calls.close(call) else { break };
            let held = open.worst_case;
            self.unhold(&open);
            self.charge(&open, Usd::ZERO, held);
            expired.push(open.closed(call, held));
            self.calls.remember(call, open, held);
        }
        expired
    }

    /// Adds what the store says was spent in the period that holds `at`, where there is such a budget.
    pub fn restore_spent(&mut self, scope: BudgetScope, per: Per, at: Timestamp, spent: Usd) {
        if let Some(budget) = self.budgets.get_mut(&(scope, per)) {
            budget.change(per.start(at), |totals| totals.spent = totals.spent.plus(spent));
        }
    }

    /// Holds again what the store says a call held, reserved at `at`, whatever the budgets say. A call that
    /// holds already is left as it is.
    pub fn restore_reservation(
        &mut self,
        call: CallId,
        scopes: &[BudgetScope],
        worst_case: Usd,
        lease_until: Timestamp,
        at: Timestamp,
    ) -> Reservation {
        match self.calls.find_open(call) {
            Some(held) => held.reservation(call),
            None => self.hold(call, scopes, worst_case, lease_until, at),
        }
    }

    /// Where every budget stands.
    pub fn standings(&self, now: Timestamp) -> Vec<BudgetStanding> {
        let standing = |(&(scope, per), budget): (&(BudgetScope, Per), &Budget)| {
            let (period_start, period_end) = (per.start(now), per.end(now));
            let Totals { reserved, spent } = budget.totals(period_start);
            BudgetStanding { scope, per, limit: budget.limit, reserved, spent, period_start, period_end }
        };
        self.budgets.iter().map(standing).collect()
    }

    /// Calls that hold money now.
    pub fn open_calls(&self) -> usize {
        self.calls.open().count()
    }

    fn hold(
        &mut self,
        id: CallId,
        scopes: &[BudgetScope],
        worst_case: Usd,
        lease_until: Timestamp,
        at: Timestamp,
    ) -> Reservation {
        let call = Call { scopes: scopes.into(), worst_case, lease_until, at };
        self.each_total(&call, |totals| totals.reserved = totals.reserved.plus(worst_case));
        let reservation = call.reservation(id);
        self.calls.open_call(id, call);
        reservation
    }

    fn unhold(&mut self, call: &Call) {
        self.each_total(call, |totals| totals.reserved = totals.reserved.minus(call.worst_case));
    }

    fn charge(&mut self, call: &Call, before: Usd, cost: Usd) {
        self.each_total(call, |totals| totals.spent = totals.spent.minus(before).plus(cost));
    }

    fn each_total(&mut self, call: &Call, change: impl Fn(&mut Totals)) {
        let covering = self.budgets.iter_mut().filter(|((scope, _), _)| call.scopes.contains(scope));
        for ((_, per), budget) in covering {
            budget.change(per.start(call.at), &change);
        }
    }
}
