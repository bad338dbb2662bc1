//! [`Share`]: what one server may admit of a tenant's limits while there is no Redis. Pure: time comes in, nothing waits.
//!
//! It is reckoned once, from the rows: of what is left by them each server has an equal part. What is counted in
//! common does not grow meanwhile, so that all parts together, at whatever moments they were reckoned, are no more than
//! what was left at the first of them.

use env::Timestamp;
use ids::CallId;
use limiter::{Kind, LimitError, LimitStanding, LimiterUnavailable, Parallel, PlannedCall};
use limiter_local::Budgets;
use metering::budget::{BudgetExceeded, BudgetScope, BudgetStanding, Closed, Per};
use metering::plan::Limits;
use metering::window::{SlidingWindow, Window};
use money::Usd;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;
use store::MeterState;

/// After how long no use counts any more that was there when the share was reckoned.
const OVER: Duration = Duration::from_secs(3600 + 10);

/// Amounts by budget and period.
type Amounts = BTreeMap<(BudgetScope, Per, Timestamp), Usd>;

/// One server's part of one tenant's limits.
pub(crate) struct Share {
    servers: NonZeroU32,
    reckoned: Timestamp,
    /// Budgets of which the rows were asked.
    known: BTreeSet<(BudgetScope, Per)>,
    /// What the rows tell, by kind: uses within the last hour, and calls under way.
    used: HashMap<Kind, u64>,
    under_way: HashMap<Kind, u64>,
    /// What they tell of money, charged and held.
    charged: Amounts,
    /// What is counted here, and nowhere else yet.
    windows: HashMap<Kind, SlidingWindow>,
    calls: HashMap<CallId, PlannedCall>,
    taken: Amounts,
    /// Nothing more is admitted on it.
    closed: bool,
}

impl Share {
    /// The part of a server, where there are so many.
    pub(crate) fn of(rows: &MeterState, budgets: &Budgets, servers: NonZeroU32, now: Timestamp) -> Self {
        let mut share = Self {
            servers,
            reckoned: now,
            known: budgets.keys().copied().collect(),
            used: HashMap::new(),
            under_way: HashMap::new(),
            charged: Amounts::new(),
            windows: Kind::ALL.map(|kind| (kind, SlidingWindow::new(Window::hourly(None)))).into(),
            calls: HashMap::new(),
            taken: Amounts::new(),
            closed: false,
        };
        for (kind, _, count) in &rows.recent {
            *share.used.entry((*kind).into()).or_default() += count;
        }
        for call in &rows.open {
            *share.under_way.entry(call.kind.into()).or_default() += 1;
            share.charge(&call.scopes(), call.started_at, call.reserved);
        }
        for (call, cost) in &rows.charged {
            share.charge(&call.scopes(), call.started_at, *cost);
        }
        for spent in &rows.spent {
            share.charge(&spent.scopes(), spent.hour, spent.cost);
        }
        share
    }

    fn charge(&mut self, scopes: &[BudgetScope], at: Timestamp, amount: Usd) {
        for (scope, per) in self.known.iter().filter(|(scope, _)| scopes.contains(scope)) {
            let sum = self.charged.entry((*scope, *per, per.start(at))).or_default();
            *sum = sum.plus(amount);
        }
    }

    /// This server's part of what is left of a number.
    fn part(&self, limit: u64, used: u64) -> u64 {
        limit.saturating_sub(used) / u64::from(self.servers.get())
    }

    /// Admits a call whole, or refuses it and changes nothing. The budgets are those in force now.
    pub(crate) fn begin(
        &mut self,
        call: &PlannedCall,
        limits: &Limits,
        parallel: Option<u64>,
        budgets: &Budgets,
    ) -> Result<LimitStanding, LimitError> {
        if self.closed {
            return Err(LimiterUnavailable::ForNow.into());
        }
        if self.calls.contains_key(&call.id) {
            return Ok(self.standing(call.kind, limits, parallel, call.at));
        }
        let LimitStanding { standing, parallel: Parallel { limit, under_way }, .. } =
            self.standing(call.kind, limits, parallel, call.at);
        if let Some(limit) = limit.filter(|limit| under_way >= *limit) {
            return Err(LimitError::Parallel(call.kind, limit));
        }
        if standing.remaining != Some(0) {
            self.covered(call, budgets)?;
        }
        let window = self.windows.get_mut(&call.kind).ok_or(LimiterUnavailable::ForNow)?;
        window.try_take(call.at, 1).map_err(|full| LimitError::Window(call.kind, full))?;
        self.take(call, Usd::ZERO, call.worst_case.unwrap_or_default());
        self.calls.insert(call.id, call.clone());
        Ok(self.standing(call.kind, limits, parallel, call.at))
    }

    /// Whether every budget covers the call.
    fn covered(&self, call: &PlannedCall, budgets: &Budgets) -> Result<(), LimitError> {
        for ((scope, per), limit) in budgets.iter().filter(|((scope, _), _)| call.scopes.contains(scope)) {
            let worst_case = call.worst_case.ok_or(LimitError::Unpriced)?;
            // What a new budget has spent already is not known here.
            if !self.known.contains(&(*scope, *per)) {
                return Err(LimiterUnavailable::ForNow.into());
            }
            let period = (*scope, *per, per.start(call.at));
            let amount = |of: &Amounts| of.get(&period).copied().unwrap_or_default();
            let (spent, reserved) = (amount(&self.charged), amount(&self.taken));
            if times(reserved.plus(worst_case), self.servers) > limit.minus(spent) {
                return Err(LimitError::Budget(BudgetExceeded {
                    scope: *scope,
                    per: *per,
                    limit: *limit,
                    reserved,
                    spent,
                    resets_in_seconds: per.end(call.at).since(call.at).as_secs() + 1,
                }));
            }
        }
        Ok(())
    }

    /// Takes an amount in the place of another one.
    fn take(&mut self, call: &PlannedCall, before: Usd, amount: Usd) {
        for scope in &call.scopes {
            for per in Per::ALL {
                let taken = self.taken.entry((*scope, per, per.start(call.at))).or_default();
                *taken = taken.minus(before).plus(amount);
            }
        }
    }

    /// Ends a call that began here: at its cost, or without having left.
    pub(crate) fn close(&mut self, call: CallId, cost: Option<Usd>) -> Option<Closed> {
        let planned = self.calls.remove(&call)?;
        let (reserved, cost) = (planned.worst_case.unwrap_or_default(), cost.unwrap_or_default());
        self.take(&planned, reserved, cost);
        Some(Closed { call, reserved, cost, at: planned.at })
    }

    /// Holds again what a call held whose outcome did not become durable.
    pub(crate) fn reopen(&mut self, call: &PlannedCall) {
        if self.calls.insert(call.id, call.clone()).is_none() {
            self.take(call, Usd::ZERO, call.worst_case.unwrap_or_default());
        }
    }

    /// Admits nothing more: the tenant's state is another one from here on.
    pub(crate) fn end(&mut self) {
        self.closed = true;
    }

    /// Where the limits on calls of a kind stand: this server's part of them.
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
        let counted = |of: &HashMap<Kind, u64>| of.get(&kind).copied().unwrap_or_default();
        let used = if now.since(self.reckoned) > OVER { 0 } else { counted(&self.used) };
        let limit = limit.map(|limit| self.part(limit, used));
        let parallel = Parallel {
            limit: parallel.map(|limit| self.part(limit, counted(&self.under_way))),
            under_way: self.calls.values().filter(|call| call.kind == kind).count() as u64,
        };
        let window = self.windows.entry(kind).or_insert_with(|| SlidingWindow::new(Window::hourly(None)));
        window.set_limit(limit);
        LimitStanding { kind, window: window.window(), standing: window.standing(now), parallel }
    }

    /// Where the budgets stand, as far as it is known here.
    pub(crate) fn budgets(&self, budgets: &Budgets, now: Timestamp) -> Vec<BudgetStanding> {
        let standing = |((scope, per), limit): (&(BudgetScope, Per), &Usd)| {
            let (period_start, period_end) = (per.start(now), per.end(now));
            let amount = |of: &Amounts| of.get(&(*scope, *per, period_start)).copied().unwrap_or_default();
            let (spent, reserved) = (amount(&self.charged), amount(&self.taken));
            BudgetStanding {
                scope: *scope,
                per: *per,
                limit: *limit,
                reserved,
                spent,
                period_start,
                period_end,
            }
        };
        budgets.iter().map(standing).collect()
    }
}

/// An amount so many times over.
fn times(amount: Usd, times: NonZeroU32) -> Usd {
    (0..times.get()).map(|_| amount).sum()
}

#[cfg(test)]
mod tests {
    use super::Share;
    use env::Timestamp;
    use ids::{CallId, Id};
    use limiter::{Kind, LimitError, PlannedCall};
    use limiter_local::Budgets;
    use metering::budget::{BudgetScope, Per};
    use metering::plan::Limits;
    use money::Usd;
    use proptest::prelude::*;
    use std::num::NonZeroU32;
    use std::time::Duration;
    use store::{Call, CallKind, MeterState, Payer};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    fn call(number: u8, worst_case: &str) -> PlannedCall {
        PlannedCall {
            id: CallId::from_parts(1, [number; 10]),
            kind: Kind::Ai,
            scopes: vec![BudgetScope::Tenant],
            worst_case: Some(usd(worst_case)),
            at: NOW,
            lease_until: NOW.plus(Duration::from_secs(600)),
        }
    }

    fn row(of: &PlannedCall) -> Call {
        Call {
            id: of.id,
            kind: CallKind::Model,
            target: "model".into(),
            endpoint: None,
            payer: Payer::default(),
            workflow: None,
            run: None,
            started_at: of.at,
            reserved: of.worst_case.unwrap_or_default(),
            lease_until: of.lease_until,
            intent: None,
        }
    }

    fn monthly(limit: &str) -> Budgets {
        [((BudgetScope::Tenant, Per::Month), usd(limit))].into()
    }

    fn servers(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_part_of_what_is_left_is_admitted_and_no_more() {
        let budgets = monthly("1.00");
        let held = call(200, "0.20");
        let rows = MeterState {
            recent: vec![(CallKind::Model, NOW, 4)],
            open: vec![row(&held)],
            charged: vec![(row(&call(201, "0.50")), usd("0.40"))],
            ..MeterState::default()
        };
        let mut share = Share::of(&rows, &budgets, servers(4), NOW);
        let limits = Limits { ai_calls_per_hour: Some(12), ..Limits::default() };
        // 0.40 are left, of which 0.10 are this server's; of 8 calls 2 are.
        share.begin(&call(1, "0.06"), &limits, Some(9), &budgets).unwrap();
        let refused = share.begin(&call(2, "0.05"), &limits, Some(9), &budgets).unwrap_err();
        assert!(
            matches!(refused, LimitError::Budget(exceeded) if exceeded.spent == usd("0.60")),
            "{refused:?}"
        );
        // What a call of the share did not cost is the share's; what another one did not, is not.
        assert_eq!(share.close(held.id, Some(Usd::ZERO)), None);
        assert_eq!(share.close(call(1, "0").id, Some(usd("0.01"))).unwrap().reserved, usd("0.06"));
        let standing = share.begin(&call(3, "0.09"), &limits, Some(9), &budgets).unwrap();
        assert_eq!((standing.standing.limit, standing.standing.remaining), (Some(2), Some(0)));
        // 9 may be under way, of which 1 is: 2 of the other 8 are this server's.
        assert_eq!((standing.parallel.limit, standing.parallel.under_way), (Some(2), 1));
        let refused = share.begin(&call(4, "0.00"), &limits, Some(9), &budgets).unwrap_err();
        assert!(matches!(refused, LimitError::Window(Kind::Ai, _)), "{refused:?}");
        // A limit that falls meanwhile holds at once.
        let less = Limits { ai_calls_per_hour: Some(4), ..Limits::default() };
        assert!(share.begin(&call(5, "0.00"), &less, None, &monthly("0.60")).is_err());
    }

    #[test]
    fn what_is_not_known_is_not_admitted() {
        let mut share = Share::of(&MeterState::default(), &Budgets::new(), servers(2), NOW);
        let limits = Limits::default();
        share.begin(&call(1, "5.00"), &limits, None, &Budgets::new()).unwrap();
        let refused = share.begin(&call(2, "0.01"), &limits, None, &monthly("9.00")).unwrap_err();
        assert!(matches!(refused, LimitError::Unavailable(_)), "{refused:?}");
        let mut priced = Share::of(&MeterState::default(), &monthly("9.00"), servers(2), NOW);
        let unpriced = PlannedCall { worst_case: None, ..call(3, "0.00") };
        let refused = priced.begin(&unpriced, &limits, None, &monthly("9.00")).unwrap_err();
        assert_eq!(refused, LimitError::Unpriced);
        priced.end();
        assert!(priced.begin(&call(4, "0.01"), &limits, None, &monthly("9.00")).is_err());
    }

    proptest! {
        /// Servers that reckon their shares at different moments, from the rows as those before have left them, spend
        /// no more together than was left, whatever their calls and those from before cost in the end.
        #[test]
        fn all_shares_together_keep_to_the_limit(
            steps in prop::collection::vec((0usize..4, 1u32..40, 0u32..40, any::<bool>()), 1..120),
            before in prop::collection::vec((1u32..30, 0u32..30), 0..8),
        ) {
            let cents = |cents: u32| usd(&format!("0.{cents:02}"));
            let budgets = monthly("2.00");
            let mut rows = MeterState::default();
            let mut total = Usd::ZERO;
            for (number, (held, _)) in before.iter().enumerate() {
                if total.plus(cents(*held)) > usd("2.00") { break }
                total = total.plus(cents(*held));
                rows.open.push(row(&call(200 + u8::try_from(number).unwrap(), &cents(*held).to_string())));
            }
            let mut ends = before.iter();
            let mut shares: [Option<Share>; 4] = Default::default();
            for (number, (server, worst, cost, ends_one)) in steps.into_iter().enumerate() {
                // One of the calls from before ends, at no more than it held.
                if ends_one && let Some((_, end)) = ends.next()
                    && let Some(place) = rows.open.iter().position(|call| call.id.to_bytes()[6] >= 200)
                {
                    let ended = rows.open.remove(place);
                    let cost = cents(*end).min(ended.reserved);
                    rows.charged.push((ended, cost));
                }
                let share = shares[server].get_or_insert_with(|| Share::of(&rows, &budgets, servers(4), NOW));
                let planned = call(u8::try_from(number).unwrap(), &cents(worst).to_string());
                if share.begin(&planned, &Limits::default(), None, &budgets).is_ok() {
                    let cost = cents(cost.min(worst));
                    share.close(planned.id, Some(cost)).unwrap();
                    rows.charged.push((row(&planned), cost));
                }
                let charged = rows.charged.iter().map(|(_, cost)| *cost);
                let held = rows.open.iter().map(|call| call.reserved);
                prop_assert!(charged.chain(held).sum::<Usd>() <= usd("2.00"));
            }
        }
    }
}
