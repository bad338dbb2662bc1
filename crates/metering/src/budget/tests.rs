//! The ledger's promises: a hard ceiling, exact release, charges in their period, corrections.

use super::{BudgetScope, BudgetStanding, Ledger, Per};
use env::Timestamp;
use errors::Problem;
use ids::{AgentId, CallId, Id, KeyId};
use money::Usd;
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

fn cents(cents: u64) -> Usd {
    usd(&format!("{}.{:02}", cents / 100, cents % 100))
}

fn call(number: u64) -> CallId {
    CallId::from_parts(number, [0; 10])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-30T12:00:00Z")
}

fn lease(now: Timestamp) -> Timestamp {
    now.plus(Duration::from_secs(600))
}

const TENANT: &[BudgetScope] = &[BudgetScope::Tenant];

fn key_scope() -> BudgetScope {
    BudgetScope::Key(KeyId::from_parts(1, [1; 10]))
}

fn ledger(per: Per, limit: &str) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.set_budget(BudgetScope::Tenant, per, usd(limit), Usd::ZERO, noon());
    ledger
}

/// Reserved and spent of the tenant's only budget.
fn totals(ledger: &Ledger, now: Timestamp) -> (String, String) {
    let standing = ledger.standings(now)[0];
    (standing.reserved.to_string(), standing.spent.to_string())
}

fn check(ledger: &Ledger, now: Timestamp, reserved: &str, spent: &str) {
    assert_eq!(totals(ledger, now), (reserved.to_owned(), spent.to_owned()));
}

#[test]
fn a_thousand_calls_at_once_cannot_pass_the_ceiling() {
    let mut ledger = ledger(Per::Month, "1.00");
    let admitted = (0..1000)
        .filter(|number| ledger.reserve(call(*number), TENANT, usd("0.03"), lease(noon()), noon()).is_ok());
    assert_eq!(admitted.count(), 33);
    check(&ledger, noon(), "0.99", "0.00");
}

#[test]
fn a_refusal_tells_what_is_reserved_and_what_is_spent() {
    let mut ledger = ledger(Per::Day, "1.00");
    ledger.reserve(call(1), TENANT, usd("0.50"), lease(noon()), noon()).unwrap();
    ledger.settle(call(1), usd("0.20")).unwrap();
    ledger.reserve(call(2), TENANT, usd("0.50"), lease(noon()), noon()).unwrap();
    let exceeded = ledger.reserve(call(3), TENANT, usd("0.31"), lease(noon()), noon()).unwrap_err();
    assert_eq!((exceeded.reserved, exceeded.spent), (usd("0.50"), usd("0.20")));
    let problem = Problem::from(exceeded);
    assert_eq!(problem.members["reserved"], "0.50");
    assert_eq!(problem.members["spent"], "0.20");
    assert!(ledger.reserve(call(3), TENANT, usd("0.30"), lease(noon()), noon()).is_ok());
}

#[test]
fn all_budgets_or_none() {
    let mut ledger = ledger(Per::Month, "10.00");
    ledger.set_budget(key_scope(), Per::Day, usd("1.00"), usd("0.90"), noon());
    let both = [BudgetScope::Tenant, key_scope()];
    let exceeded = ledger.reserve(call(1), &both, usd("0.50"), lease(noon()), noon()).unwrap_err();
    assert_eq!((exceeded.scope, exceeded.per), (key_scope(), Per::Day));
    assert!(ledger.standings(noon()).iter().all(|standing| standing.reserved.is_zero()));
    ledger.reserve(call(1), &both, usd("0.10"), lease(noon()), noon()).unwrap();
    assert!(ledger.standings(noon()).iter().all(|standing| standing.reserved == usd("0.10")));
}

#[test]
fn reserving_settling_and_releasing_twice_changes_nothing() {
    let mut ledger = ledger(Per::Month, "1.00");
    let first = ledger.reserve(call(1), TENANT, usd("0.40"), lease(noon()), noon()).unwrap();
    let again = ledger.reserve(call(1), TENANT, usd("0.90"), lease(noon()), noon()).unwrap();
    assert_eq!(first, again);
    check(&ledger, noon(), "0.40", "0.00");
    assert!(ledger.settle(call(1), usd("0.10")).is_some());
    assert_eq!(ledger.settle(call(1), usd("0.30")), None);
    assert_eq!(ledger.release(call(1)), None);
    check(&ledger, noon(), "0.00", "0.10");
    assert_eq!(ledger.settle(call(9), usd("0.30")), None, "an unknown call is not charged");
}

#[test]
fn more_than_reserved_is_counted_before_the_next_admission() {
    let mut ledger = ledger(Per::Month, "1.00");
    ledger.reserve(call(1), TENANT, usd("0.60"), lease(noon()), noon()).unwrap();
    let closed = ledger.settle(call(1), usd("1.20")).unwrap();
    assert_eq!(closed.overrun(), usd("0.60"));
    check(&ledger, noon(), "0.00", "1.20");
    assert!(ledger.reserve(call(2), TENANT, usd("0.01"), lease(noon()), noon()).is_err());
}

#[test]
fn a_lease_that_ends_is_charged_in_full_and_corrected_later() {
    let mut ledger = ledger(Per::Month, "1.00");
    ledger.reserve(call(1), TENANT, usd("0.60"), lease(noon()), noon()).unwrap();
    ledger.reserve(call(2), TENANT, usd("0.20"), lease(noon()), noon()).unwrap();
    let before_the_end = noon().plus(Duration::from_secs(599));
    assert!(ledger.expire(before_the_end).is_empty());
    assert!(ledger.extend(call(2), lease(before_the_end)));
    let expired = ledger.expire(lease(noon()));
    assert_eq!(expired.iter().map(|it| (it.call, it.cost)).collect::<Vec<_>>(), [(call(1), usd("0.60"))]);
    assert!(ledger.expire(lease(noon())).is_empty());
    check(&ledger, noon(), "0.20", "0.60");
    assert_eq!(ledger.settle(call(1), usd("0.05")).unwrap().cost, usd("0.05"));
    check(&ledger, noon(), "0.20", "0.05");
    assert_eq!(ledger.settle(call(1), usd("0.50")), None);
}

#[test]
fn a_released_call_that_costs_after_all_is_charged() {
    let mut ledger = ledger(Per::Month, "1.00");
    ledger.reserve(call(1), TENANT, usd("0.60"), lease(noon()), noon()).unwrap();
    ledger.release(call(1)).unwrap();
    check(&ledger, noon(), "0.00", "0.00");
    ledger.settle(call(1), usd("0.07")).unwrap();
    check(&ledger, noon(), "0.00", "0.07");
}

#[test]
fn a_call_is_charged_to_the_period_it_was_reserved_in() {
    let mut ledger = ledger(Per::Month, "1.00");
    let late = at("2026-11-30T23:59:59Z");
    let next = at("2026-12-01T00:00:01Z");
    ledger.reserve(call(1), TENANT, usd("0.60"), lease(late), late).unwrap();
    assert!(ledger.reserve(call(2), TENANT, usd("1.00"), lease(next), next).is_ok(), "a new month");
    ledger.settle(call(1), usd("0.50")).unwrap();
    check(&ledger, late, "0.00", "0.50");
    check(&ledger, next, "1.00", "0.00");
    let standing = ledger.standings(next)[0];
    assert_eq!(standing.period_start, at("2026-12-01T00:00:00Z"));
    assert_eq!(standing.period_end, at("2027-01-01T00:00:00Z"));
}

#[test]
fn a_budget_set_later_knows_what_is_under_way() {
    let mut ledger = Ledger::new();
    assert!(!ledger.covers(TENANT));
    ledger.reserve(call(1), TENANT, usd("0.60"), lease(noon()), noon()).unwrap();
    ledger.set_budget(BudgetScope::Tenant, Per::Day, usd("1.00"), usd("0.30"), noon());
    assert!(ledger.covers(TENANT) && !ledger.covers(&[key_scope()]));
    check(&ledger, noon(), "0.60", "0.30");
    ledger.set_budget(BudgetScope::Tenant, Per::Day, usd("2.00"), usd("0.00"), noon());
    check(&ledger, noon(), "0.60", "0.30");
    assert!(ledger.remove_budget(BudgetScope::Tenant, Per::Day));
    assert_eq!(ledger.settle(call(1), usd("0.10")).unwrap().cost, usd("0.10"));
}

#[test]
fn a_restart_restores_what_was_spent_and_held() {
    let mut ledger = ledger(Per::Month, "1.00");
    ledger.restore_spent(BudgetScope::Tenant, Per::Month, noon(), usd("0.40"));
    ledger.restore_reservation(call(1), TENANT, usd("0.50"), lease(noon()), noon());
    ledger.restore_reservation(call(1), TENANT, usd("0.50"), lease(noon()), noon());
    check(&ledger, noon(), "0.50", "0.40");
    assert!(ledger.reserve(call(2), TENANT, usd("0.11"), lease(noon()), noon()).is_err());
    assert_eq!(ledger.expire(lease(noon())).len(), 1);
    check(&ledger, noon(), "0.00", "0.90");
}

#[test]
fn a_standing_reads_as_the_contract_says() {
    let mut ledger = ledger(Per::Month, "12.50");
    ledger.reserve(call(1), TENANT, usd("0.25"), lease(noon()), noon()).unwrap();
    let expected = serde_json::json!({
        "scope": "tenant", "per": "month", "limit": "12.50", "reserved": "0.25", "spent": "0.00",
        "period_start": "2026-11-01T00:00:00.000Z", "period_end": "2026-12-01T00:00:00.000Z",
    });
    assert_eq!(serde_json::to_value(ledger.standings(noon())[0]).unwrap(), expected);
    let scope = serde_json::to_value(key_scope()).unwrap();
    assert_eq!(scope["scope"], "key");
    assert_eq!(serde_json::from_value::<BudgetScope>(scope).unwrap(), key_scope());
}

#[test]
fn memory_is_bounded_in_periods_and_ended_calls() {
    let mut ledger = ledger(Per::Day, "1.00");
    for day in 0..10_000 {
        let now = noon().plus(Duration::from_hours(24) * day);
        ledger.reserve(call(u64::from(day)), TENANT, usd("0.01"), lease(now), now).unwrap();
        ledger.settle(call(u64::from(day)), usd("0.01")).unwrap();
    }
    let budget = ledger.budgets.values().next().unwrap();
    assert!(budget.periods.len() <= super::PERIODS_KEPT);
    assert_eq!(ledger.open_calls(), 0);
    for number in 0..3000 {
        ledger.reserve(call(number), TENANT, usd("0.00"), lease(noon()), noon()).unwrap();
        ledger.release(call(number)).unwrap();
    }
    assert!(ledger.settle(call(0), usd("1.00")).is_none(), "forgotten");
    assert!(ledger.settle(call(2999), usd("0.00")).is_some());
    ledger.restore_spent(BudgetScope::Tenant, Per::Day, noon(), usd("5.00"));
    let last = noon().plus(Duration::from_hours(24) * 9_999);
    check(&ledger, last, "0.00", "0.01");
}

/// One step of a history: what is done, to which call, and for how many cents.
#[derive(Clone, Debug)]
enum Step {
    Reserve { call: u64, with_key: bool, cents: u64 },
    Settle { call: u64, percent: u64 },
    Release { call: u64 },
    Wait { minutes: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..40, any::<bool>(), 0u64..60)
            .prop_map(|(call, with_key, cents)| Step::Reserve { call, with_key, cents }),
        3 => (0u64..40, 0u64..=100).prop_map(|(call, percent)| Step::Settle { call, percent }),
        1 => (0u64..40).prop_map(|call| Step::Release { call }),
        1 => (1u64..400).prop_map(|minutes| Step::Wait { minutes }),
    ];
    prop::collection::vec(step, 1..200)
}

/// A call as the model sees it.
struct Entry {
    scopes: Vec<BudgetScope>,
    at: Timestamp,
    worst: u64,
    /// Cents, once it has ended.
    charged: Option<u64>,
    settled: bool,
    released: bool,
}

/// A plain model of the ledger: a list of calls, summed anew at every step.
#[derive(Default)]
struct Model {
    calls: HashMap<u64, Entry>,
    fresh: u64,
}

impl Model {
    fn apply(&mut self, step: Step, ledger: &mut Ledger, now: &mut Timestamp) {
        match step {
            Step::Reserve { call: number, with_key, cents: worst } => {
                // Ids of ended calls are not used again, as in the server.
                let ended = self.calls.get(&number).is_some_and(|entry| entry.charged.is_some());
                self.fresh += 1;
                let number = if ended { 1000 + self.fresh } else { number };
                let mut scopes = vec![BudgetScope::Tenant];
                scopes.extend(with_key.then(key_scope));
                let admitted = ledger.reserve(call(number), &scopes, cents(worst), lease(*now), *now).is_ok();
                if admitted && !self.calls.contains_key(&number) {
                    let entry =
                        Entry { scopes, at: *now, worst, charged: None, settled: false, released: false };
                    self.calls.insert(number, entry);
                }
            }
            Step::Settle { call: number, percent } => {
                let cost = self.calls.get(&number).map_or(1, |entry| entry.worst * percent / 100);
                let unsettled = self.calls.get_mut(&number).filter(|entry| !entry.settled);
                assert_eq!(ledger.settle(call(number), cents(cost)).is_some(), unsettled.is_some());
                if let Some(entry) = unsettled {
                    entry.charged = Some(cost);
                    entry.settled = true;
                }
            }
            Step::Release { call: number } => {
                let open = self.calls.get_mut(&number).filter(|entry| entry.charged.is_none());
                assert_eq!(ledger.release(call(number)).is_some(), open.is_some());
                if let Some(entry) = open {
                    entry.charged = Some(0);
                    entry.released = true;
                }
            }
            Step::Wait { minutes } => {
                *now = now.plus(Duration::from_secs(minutes * 60));
                let due = |entry: &&mut Entry| entry.charged.is_none() && lease(entry.at) <= *now;
                let ended =
                    self.calls.values_mut().filter(due).map(|entry| entry.charged = Some(entry.worst));
                assert_eq!(ended.count(), ledger.expire(*now).len());
            }
        }
    }

    fn check(&self, standing: &BudgetStanding) {
        let of_period = || {
            let start = standing.period_start;
            let covered = move |entry: &&Entry| {
                entry.scopes.contains(&standing.scope) && standing.per.start(entry.at) == start
            };
            self.calls.values().filter(covered)
        };
        let reserved: u64 =
            of_period().filter(|entry| entry.charged.is_none()).map(|entry| entry.worst).sum();
        let spent: u64 = of_period().filter_map(|entry| entry.charged).sum();
        assert_eq!((standing.reserved, standing.spent), (cents(reserved), cents(spent)));
        // What was said never to have left and cost after all is the one thing that no reservation held.
        let unheld: u64 = of_period().filter(|entry| entry.released).filter_map(|entry| entry.charged).sum();
        assert!(standing.reserved.plus(standing.spent) <= standing.limit.plus(cents(unheld)));
    }
}

proptest! {
    #[test]
    fn every_interleaving_keeps_the_ceiling_and_the_sums(steps in steps(), limit in 0u64..300) {
        let agent = BudgetScope::Agent(AgentId::from_parts(9, [9; 10]));
        let mut ledger = Ledger::new();
        let mut now = noon();
        let budgets = [
            (BudgetScope::Tenant, Per::Day, cents(limit)),
            (BudgetScope::Tenant, Per::Month, cents(limit * 3)),
            (key_scope(), Per::Month, cents(limit / 2)),
            (agent, Per::Day, cents(1)),
        ];
        for (scope, per, limit) in budgets {
            ledger.set_budget(scope, per, limit, Usd::ZERO, now);
        }
        let mut model = Model::default();
        for step in steps {
            model.apply(step, &mut ledger, &mut now);
            ledger.standings(now).iter().for_each(|standing| model.check(standing));
        }
    }
}
