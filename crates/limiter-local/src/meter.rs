//! [`Meter`]: what one tenant has used, holds and may spend. Pure: time comes in, nothing waits.

use env::Timestamp;
use ids::CallId;
use limiter::{Kind, LimitError, LimitStanding, Parallel, PlannedCall};
use metering::budget::{BudgetScope, BudgetStanding, Closed, Ledger, Per};
use metering::plan::Limits;
use metering::window::{SlidingWindow, Window};
use money::Usd;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A call that has begun and not ended.
struct Open {
    kind: Kind,
    scopes: Vec<BudgetScope>,
    /// Whether it is under way in this process, rather than left by a stopped one.
    here: bool,
}

/// A call that was charged.
#[derive(Clone, Debug)]
pub(crate) struct Charged {
    pub(crate) call: CallId,
    pub(crate) scopes: Vec<BudgetScope>,
    pub(crate) at: Timestamp,
    pub(crate) cost: Usd,
}

/// What calls were charged together that ended a while ago.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    pub(crate) scopes: Vec<BudgetScope>,
    pub(crate) at: Timestamp,
    pub(crate) cost: Usd,
}

/// What the rows of calls tell of charges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charges {
    /// Calls that ended within the last moments: one of them may be held here still.
    pub(crate) calls: Vec<Charged>,
    /// All others.
    pub(crate) sums: Vec<Sum>,
}

/// The budgets of a tenant as they are kept.
pub type Budgets = BTreeMap<(BudgetScope, Per), Usd>;

/// What one tenant has used, holds and may spend.
pub(crate) struct Meter {
    ai: SlidingWindow,
    api: SlidingWindow,
    ledger: Ledger,
    budgets: BTreeSet<(BudgetScope, Per)>,
    open: HashMap<CallId, Open>,
    /// Charges made while the rows of calls are being read for a new budget.
    meanwhile: Option<Vec<Charged>>,
}

impl Meter {
    /// A meter of a tenant that has used nothing.
    pub(crate) fn new() -> Self {
        let window = || SlidingWindow::new(Window::hourly(None));
        Self {
            ai: window(),
            api: window(),
            ledger: Ledger::new(),
            budgets: BTreeSet::new(),
            open: HashMap::new(),
            meanwhile: None,
        }
    }

    /// Whether calls are under way here, so that their state must stay.
    pub(crate) fn is_busy(&self) -> bool {
        self.meanwhile.is_some() || self.open.values().any(|open| open.here)
    }

    /// Counts uses that rows tell of.
    pub(crate) fn restore_uses(&mut self, kind: Kind, at: Timestamp, count: u64) {
        self.window(kind).record(at, count);
    }

    /// Holds again what a call held that no outcome is known of. One that holds already is left as it is.
    pub(crate) fn restore_open(&mut self, call: PlannedCall) {
        if self.open.contains_key(&call.id) {
            return;
        }
        let PlannedCall { id, kind, scopes, worst_case, at, lease_until } = call;
        let held = worst_case.unwrap_or_default();
        self.ledger.restore_reservation(id, &scopes, held, lease_until, at);
        self.open.insert(id, Open { kind, scopes, here: false });
    }

    /// Admits a call whole, or refuses it and changes nothing.
    pub(crate) fn begin(
        &mut self,
        call: &PlannedCall,
        limits: &Limits,
        parallel: Option<u64>,
    ) -> Result<LimitStanding, LimitError> {
        if self.open.contains_key(&call.id) {
            return Ok(self.standing(call.kind, limits, parallel, call.at));
        }
        let LimitStanding { standing, parallel: Parallel { under_way, .. }, .. } =
            self.standing(call.kind, limits, parallel, call.at);
        if let Some(limit) = parallel.filter(|limit| under_way >= *limit) {
            return Err(LimitError::Parallel(call.kind, limit));
        }
        if standing.remaining != Some(0) {
            if call.worst_case.is_none() && self.ledger.covers(&call.scopes) {
                return Err(LimitError::Unpriced);
            }
            let worst_case = call.worst_case.unwrap_or_default();
            self.ledger.reserve(call.id, &call.scopes, worst_case, call.lease_until, call.at)?;
        }
        self.window(call.kind).try_take(call.at, 1).map_err(|full| LimitError::Window(call.kind, full))?;
        let open = Open { kind: call.kind, scopes: call.scopes.clone(), here: true };
        self.open.insert(call.id, open);
        Ok(self.standing(call.kind, limits, parallel, call.at))
    }

    /// Ends a call at its cost.
    pub(crate) fn settle(&mut self, call: CallId, cost: Usd) -> Option<Closed> {
        let open = self.open.remove(&call);
        let closed = self.ledger.settle(call, cost)?;
        if let (Some(meanwhile), Some(open)) = (&mut self.meanwhile, open) {
            meanwhile.push(Charged { call, scopes: open.scopes, at: closed.at, cost });
        }
        Some(closed)
    }

    /// Ends a call that never left.
    pub(crate) fn release(&mut self, call: CallId) -> Option<Closed> {
        self.open.remove(&call);
        self.ledger.release(call)
    }

    /// Ends every call whose lease had ended by `now` at what it held, and says which and how much. A row that
    /// tells later corrects it.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Closed> {
        let expired = self.ledger.expire(now);
        for Closed { call, cost, at, .. } in &expired {
            let open = self.open.remove(call);
            if let (Some(meanwhile), Some(open)) = (&mut self.meanwhile, open) {
                meanwhile.push(Charged { call: *call, scopes: open.scopes, at: *at, cost: *cost });
            }
        }
        expired
    }

    /// Where the limits on calls of a kind stand.
    pub(crate) fn standing(
        &mut self,
        kind: Kind,
        limits: &Limits,
        parallel: Option<u64>,
        now: Timestamp,
    ) -> LimitStanding {
        let limit = match kind {
            Kind::Ai => limits.ai_calls_per_hour,
            Kind::Api => limits.api_calls_per_hour,
        };
        let under_way = self.open.values().filter(|open| open.here && open.kind == kind).count();
        let parallel = Parallel { limit: parallel, under_way: under_way as u64 };
        let window = self.window(kind);
        window.set_limit(limit);
        LimitStanding { kind, window: window.window(), standing: window.standing(now), parallel }
    }

    /// Where the budgets stand.
    pub(crate) fn budgets(&self, now: Timestamp) -> Vec<BudgetStanding> {
        self.ledger.standings(now)
    }

    /// Whether any of these budgets is a new one, so that the rows of calls must be read for it.
    pub(crate) fn lacks(&self, budgets: &Budgets) -> bool {
        budgets.keys().any(|key| !self.budgets.contains(key))
    }

    /// Remembers the charges made from here on, until [`Meter::set_budgets`].
    pub(crate) fn remember_charges(&mut self) {
        self.meanwhile = Some(Vec::new());
    }

    /// Forgets them again, where the rows could not be read.
    pub(crate) fn forget_charges(&mut self) {
        self.meanwhile = None;
    }

    /// Makes the budgets the given ones. A new budget has spent what the rows and the charges made since they
    /// were read tell, each call once: one that is still held here is charged when it is settled.
    pub(crate) fn set_budgets(&mut self, budgets: Budgets, rows: Charges, now: Timestamp) {
        let Charges { calls, sums } = rows;
        let mut charged: HashMap<CallId, Charged> = calls.into_iter().map(|row| (row.call, row)).collect();
        for late in self.meanwhile.take().into_iter().flatten() {
            charged.insert(late.call, late);
        }
        charged.retain(|call, _| !self.open.contains_key(call));
        let gone: Vec<_> = self.budgets.iter().filter(|key| !budgets.contains_key(key)).copied().collect();
        for (scope, per) in gone {
            self.ledger.remove_budget(scope, per);
            self.budgets.remove(&(scope, per));
        }
        for ((scope, per), limit) in budgets {
            self.ledger.set_budget(scope, per, limit, Usd::ZERO, now);
            if self.budgets.insert((scope, per)) {
                for row in charged.values().filter(|row| row.scopes.contains(&scope)) {
                    self.ledger.restore_spent(scope, per, row.at, row.cost);
                }
                for sum in sums.iter().filter(|sum| sum.scopes.contains(&scope)) {
                    self.ledger.restore_spent(scope, per, sum.at, sum.cost);
                }
            }
        }
    }

    fn window(&mut self, kind: Kind) -> &mut SlidingWindow {
        match kind {
            Kind::Ai => &mut self.ai,
            Kind::Api => &mut self.api,
        }
    }
}
