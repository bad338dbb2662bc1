//! What a tenant's state is restored from, as arguments of the script.

use crate::pack;
use env::Timestamp;
use limiter::PlannedCall;
use limiter_local::Budgets;
use metering::budget::Per;
use money::Usd;
use std::collections::BTreeMap;
use store::MeterState;

/// The token, the uses, the calls under way, the budgets and the charges.
pub(crate) fn state(token: &str, rows: &MeterState, budgets: &Budgets, now: Timestamp) -> Vec<String> {
    let mut arguments = vec![token.to_owned(), rows.recent.len().to_string()];
    for (kind, at, count) in &rows.recent {
        arguments.extend([
            pack::kind((*kind).into()).into(),
            pack::moment(*at).to_string(),
            count.to_string(),
        ]);
    }
    arguments.push(rows.open.len().to_string());
    for call in &rows.open {
        arguments.extend([call.id.to_string(), pack::call(&PlannedCall::from(call))]);
    }
    arguments.extend(self::budgets(budgets, now));
    arguments.extend(charges(rows, budgets));
    arguments
}

/// The starts of the present periods, and the budgets.
pub(crate) fn budgets(budgets: &Budgets, now: Timestamp) -> Vec<String> {
    let mut arguments = starts(now);
    arguments.push(budgets.len().to_string());
    for ((scope, per), limit) in budgets {
        arguments.extend([pack::field(scope, *per), limit.to_string()]);
    }
    arguments
}

/// The starts of the present day and month.
pub(crate) fn starts(now: Timestamp) -> Vec<String> {
    Per::ALL.map(|per| per.start(now).millis().to_string()).into()
}

/// The calls that ended within the last moments, and what all others were charged, by budget and period.
pub(crate) fn charges(rows: &MeterState, budgets: &Budgets) -> Vec<String> {
    let mut arguments = vec![rows.charged.len().to_string()];
    for (call, cost) in &rows.charged {
        arguments.extend([call.id.to_string(), cost.to_string()]);
        arguments.extend(starts(call.started_at));
        arguments.push(pack::scopes(&call.scopes()));
    }
    let mut sums = BTreeMap::<_, Usd>::new();
    for spent in &rows.spent {
        let covering = spent.scopes();
        for (scope, per) in budgets.keys().filter(|(scope, _)| covering.contains(scope)) {
            let sum = sums.entry((scope, *per, per.start(spent.hour))).or_default();
            *sum = sum.plus(spent.cost);
        }
    }
    arguments.push(sums.len().to_string());
    for ((scope, per, start), cost) in sums {
        arguments.extend([pack::field(scope, per), start.millis().to_string(), cost.to_string()]);
    }
    arguments
}
