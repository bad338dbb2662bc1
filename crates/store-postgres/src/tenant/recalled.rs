//! What the transaction before has left of what the next one would ask first. It is true as long as the log's head is
//! the row that was written then, since whoever writes for the tenant writes that row anew; and what is written by it
//! is compared in the database with what is there.

use super::calls::Place;
use crate::home::Home;
use lru::LruCache;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use store_core::log::LogHead;
use store_core::totals::Totals;

/// How many sums are recalled for one tenant.
const MOST_SUMS: usize = 256;
/// And how many runs: those that wait for their turn are made long before they move.
const MOST_RUNS: NonZeroUsize = NonZeroUsize::new(1024).expect("more than none");
/// The longest that writes ask first after they were wrong, in transactions: where others write for the tenant as well
/// they are wrong most of the time.
const LONGEST_DOUBT: u32 = 32;

/// A run as the tables have it.
#[derive(Clone, Default)]
pub(crate) struct Standing {
    pub(crate) cursor: u64,
    pub(crate) events: u64,
    /// The bytes of what changes with a move.
    pub(crate) bytes: i64,
    /// And of each of its steps.
    pub(crate) steps: HashMap<String, i64>,
}

/// What is recalled.
pub(super) struct Recalled {
    home: Weak<Home>,
    /// Which transaction wrote the log's head.
    pub(super) version: i64,
    pub(super) head: LogHead,
    pub(super) stored: i64,
    pub(super) at_rest: bool,
    pub(super) facts: Facts,
}

/// What is recalled of runs and sums.
pub(super) struct Facts {
    pub(super) sums: BTreeMap<Place, Totals>,
    pub(super) runs: LruCache<String, Standing>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { sums: BTreeMap::new(), runs: LruCache::new(MOST_RUNS) }
    }
}

impl Recalled {
    pub(super) fn new(
        home: &Arc<Home>,
        (version, head): (i64, LogHead),
        (stored, at_rest): (i64, bool),
        mut facts: Facts,
    ) -> Self {
        // What is needed is read again.
        if facts.sums.len() > MOST_SUMS {
            facts.sums.clear();
        }
        Self { home: Arc::downgrade(home), version, head, stored, at_rest, facts }
    }

    fn is_of(&self, home: &Arc<Home>) -> bool {
        self.home.as_ptr() == Arc::as_ptr(home)
    }
}

/// What a tenant's writes recall, and whether they go by it.
#[derive(Default)]
pub(super) struct Memory {
    recalled: Option<Recalled>,
    wrong: u32,
    doubt: u32,
}

impl Memory {
    /// What may be gone by without asking.
    pub(super) fn take(&mut self, home: &Arc<Home>) -> Option<Recalled> {
        if self.doubt > 0 {
            self.doubt -= 1;
            return None;
        }
        self.recalled.take().filter(|recalled| recalled.is_of(home))
    }

    /// What was recalled of runs and sums, where the log's head is found to be the row that it was.
    pub(super) fn facts(&mut self, home: &Arc<Home>, version: i64) -> Facts {
        let recalled = self.recalled.take().filter(|it| it.is_of(home) && it.version == version);
        recalled.map(|it| it.facts).unwrap_or_default()
    }

    pub(super) fn keep(&mut self, recalled: Recalled) {
        self.recalled = Some(recalled);
    }

    /// Says that what was recalled was so.
    pub(super) fn was_right(&mut self) {
        self.wrong = 0;
    }

    /// Says that it was not: the next ask first, and the more of them the more often it happens.
    pub(super) fn was_wrong(&mut self) {
        self.wrong = self.wrong.saturating_add(1);
        self.doubt = 1u32.checked_shl(self.wrong).unwrap_or(LONGEST_DOUBT).min(LONGEST_DOUBT);
        self.recalled = None;
    }
}
