//! [`Watch`]: sees all that reaches the store, the outside and the callers, and says what must never happen.

mod runs;
mod spending;

use ids::{CallId, RunId, TenantId};
use money::Usd;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use runs::Held;

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// A step had its effect twice, or a worker acted on what was not its own any more.
    EffectOnce,
    /// A run that was accepted did not end, or not as it should.
    NoLostRun,
    /// More was used than a plan or a budget allows.
    Ceilings,
    /// A tenant was served what is another's.
    Boundary,
}

impl Promise {
    /// As it is told.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::EffectOnce => "effect twice",
            Self::NoLostRun => "lost run",
            Self::Ceilings => "ceiling passed",
            Self::Boundary => "across the boundary",
        }
    }
}

/// That a promise was broken.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) promise: Promise,
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.promise.as_str(), self.text)
    }
}

/// What is known of a tenant from the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// A word that is in all that is the tenant's, and in nothing else.
    pub(crate) canary: String,
    /// How many of its runs may be carried out at once.
    pub(crate) runs: usize,
    /// How many of its model calls may be under way at once.
    pub(crate) model_calls: u64,
    /// What it may spend.
    pub(crate) budget: Usd,
}

/// How often something happened that makes a promise hard to keep.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Runs that came to an end and were looked at.
    pub(crate) runs: usize,
    /// Runs that were given to somebody because whoever had them did not renew.
    pub(crate) taken_over: u32,
    /// Writes that the fence refused.
    pub(crate) fenced: u32,
    /// Calls that a service had answered before.
    pub(crate) repeated: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, taken_over, fenced, repeated } = self;
        write!(
            out,
            "{runs} runs, {taken_over} taken over, {fenced} writes fenced off, {repeated} calls repeated"
        )
    }
}

#[derive(Default)]
struct Seen {
    tally: Tally,
    tenants: BTreeMap<TenantId, Expected>,
    held: BTreeMap<(TenantId, RunId), Held>,
    /// Runs that were taken from somebody for an order, with the fence of whoever took them.
    taken: BTreeMap<RunId, u64>,
    /// Steps whose success is durable.
    succeeded: BTreeSet<(RunId, String)>,
    /// How often something had an effect, by what and step.
    effects: BTreeMap<(String, String), u32>,
    /// What was answered to an idempotency key.
    receipts: BTreeMap<String, String>,
    /// The last receipt for a step of something.
    receipt_of: BTreeMap<(String, String), String>,
    /// What a tenant has spent, and may still have to pay for calls under way.
    spending: BTreeMap<TenantId, Usd>,
    calls: BTreeMap<CallId, Usd>,
    models: BTreeMap<TenantId, u64>,
    findings: Vec<Finding>,
    told: usize,
}

impl Seen {
    fn find(&mut self, promise: Promise, text: String) {
        self.findings.push(Finding { promise, text });
    }
}

/// Sees all that happens.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Seen>);

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there is this tenant.
    pub(crate) fn expect(&self, tenant: TenantId, expected: Expected) {
        self.seen().tenants.insert(tenant, expected);
    }

    /// A promise was broken.
    pub(crate) fn find(&self, promise: Promise, text: String) {
        self.seen().find(promise, text);
    }

    /// What was found since it was asked last.
    pub(crate) fn news(&self) -> Vec<Finding> {
        let mut seen = self.seen();
        let from = seen.told;
        seen.told = seen.findings.len();
        seen.findings[from..].to_vec()
    }

    /// All that was found.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.seen().findings.clone()
    }

    /// How often things happened.
    pub(crate) fn tally(&self) -> Tally {
        self.seen().tally
    }

    /// So many runs have ended and were looked at.
    pub(crate) fn looked_at(&self, runs: usize) {
        self.seen().tally.runs += runs;
    }

    /// Looks at a text that came to a tenant or left for it: nothing in it may be another's.
    pub(crate) fn shown(&self, tenant: TenantId, what: &str, text: &str) {
        let mut seen = self.seen();
        let foreign = seen
            .tenants
            .iter()
            .find(|(id, expected)| **id != tenant && text.contains(expected.canary.as_str()));
        if let Some((owner, _)) = foreign {
            let text = format!("{what} of {tenant} holds what is {owner}'s");
            seen.find(Promise::Boundary, text);
        }
    }

    /// A service of the outside did something for the step of a run; gives back what it is told by.
    pub(crate) fn effect(&self, marker: &str, step: &str, key: Option<&str>) -> String {
        let mut seen = self.seen();
        if let Some(known) = key.and_then(|key| seen.receipts.get(key).cloned()) {
            seen.tally.repeated += 1;
            return known;
        }
        let of = (marker.to_owned(), step.to_owned());
        let count = seen.effects.entry(of.clone()).or_default();
        *count += 1;
        let (count, receipt) = (*count, format!("r-{marker}-{step}-{}", *count));
        if let Some(key) = key {
            seen.receipts.insert(key.to_owned(), receipt.clone());
        }
        seen.receipt_of.insert(of, receipt.clone());
        if count > 1 {
            seen.find(Promise::EffectOnce, format!("step {step} of {marker} had its effect {count} times"));
        }
        receipt
    }

    /// What the step's effect is told by.
    pub(crate) fn receipt(&self, marker: &str, step: &str) -> Option<String> {
        self.seen().receipt_of.get(&(marker.to_owned(), step.to_owned())).cloned()
    }
}
