//! What callers asked for and were told, with how far the recording was at that time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

/// A thing as the recording stands: whose, what, and which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Thing {
    pub(super) tenant: String,
    pub(super) kind: Kind,
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A record by its number, and the value in it.
    Record,
    /// A key by its text, and whether it lets one in.
    Key,
    /// A run by its id.
    Run,
    /// A model call, by the lane's count of them.
    Call,
}

/// A call that left a thing so, or was to.
#[derive(Debug)]
struct Said {
    /// `None` is not there.
    value: Option<u64>,
    sent: u64,
    answered: Option<u64>,
}

/// All that was said. Calls about one thing come one after the other.
pub(super) struct Ledger {
    recording: PathBuf,
    things: Mutex<BTreeMap<Thing, Vec<Said>>>,
    /// Checkpoints of audit logs, by their tenants.
    held: Mutex<Vec<(u64, String, String)>>,
}

impl Ledger {
    pub(super) fn beside(recording: PathBuf) -> Self {
        Self { recording, things: Mutex::default(), held: Mutex::default() }
    }

    fn now(&self) -> u64 {
        self.recording.metadata().unwrap().len()
    }

    /// Carries out a call that is to leave the thing so, and notes when it was sent and answered.
    pub(super) async fn say<T>(&self, thing: &Thing, value: Option<u64>, call: impl Future<Output = T>) -> T {
        let said = Said { value, sent: self.now(), answered: None };
        let at = {
            let mut things = self.things.lock().unwrap();
            let all = things.entry(thing.clone()).or_default();
            all.push(said);
            all.len() - 1
        };
        let answer = call.await;
        self.things.lock().unwrap().get_mut(thing).unwrap()[at].answered = Some(self.now());
        answer
    }

    /// Notes what a call made whose name is known only by its answer. `sent` is what [`Self::sent`] said.
    pub(super) fn made(&self, thing: Thing, value: u64, sent: u64) {
        let said = Said { value: Some(value), sent, answered: Some(self.now()) };
        self.things.lock().unwrap().entry(thing).or_default().push(said);
    }

    pub(super) fn sent(&self) -> u64 {
        self.now()
    }

    pub(super) fn hold(&self, tenant: &str, checkpoint: String) {
        self.held.lock().unwrap().push((self.now(), tenant.to_owned(), checkpoint));
    }

    /// How each thing may stand that was spoken of before the recording was at `cut`.
    pub(super) fn may_be(&self, cut: u64) -> BTreeMap<Thing, BTreeSet<Option<u64>>> {
        let things = self.things.lock().unwrap();
        let spoken = things.iter().filter_map(|(thing, all)| {
            let sent: Vec<_> = all.iter().take_while(|said| said.sent <= cut).collect();
            let told = sent.iter().rposition(|said| said.answered.is_some_and(|at| at <= cut));
            let open = sent.get(told.unwrap_or(0)..)?.iter().map(|said| said.value);
            let mut may_be: BTreeSet<_> = open.collect();
            if told.is_none() {
                may_be.insert(None);
            }
            (!sent.is_empty()).then(|| (thing.clone(), may_be))
        });
        spoken.collect()
    }

    /// The checkpoints of a tenant that were held before the recording was at `cut`.
    pub(super) fn held(&self, tenant: &str, cut: u64) -> Vec<String> {
        let held = self.held.lock().unwrap();
        let mine = held.iter().filter(|(at, whose, _)| *at <= cut && whose == tenant);
        mine.map(|(_, _, checkpoint)| checkpoint.clone()).collect()
    }
}
