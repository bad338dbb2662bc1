//! What a tenant's callers were told, and what may or may not have happened because the answer never came.

use std::collections::BTreeMap;

/// One thing that calls change: how it may stand by now. A call that was answered leaves one possibility,
/// one that was not adds one. `None` is not there.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    /// Known once a call that made it was answered.
    pub(super) id: Option<String>,
    pub(super) may_be: Vec<Option<u64>>,
}

impl Thing {
    /// A thing that a call is about to make.
    pub(super) fn wanted(value: u64) -> Self {
        Self { id: None, may_be: vec![None, Some(value)] }
    }

    /// A call is sent that leaves it so.
    pub(super) fn may_become(&mut self, value: Option<u64>) {
        self.may_be.push(value);
    }

    /// A call was answered that left it so.
    pub(super) fn is(&mut self, value: Option<u64>) {
        self.may_be = vec![value];
    }

    /// Whether it is known to be there.
    pub(super) fn there(&self) -> bool {
        self.id.is_some() && self.may_be.iter().all(Option::is_some)
    }
}

/// A key that was given out, and the budget that a lane may set for it.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Whose it is to revoke it, or to set its budget.
    pub(super) lane: u64,
    pub(super) text: String,
    /// Whether it may be in force, and whether it may be revoked.
    pub(super) may_be: Vec<bool>,
    /// Empty where no budget was ever set. One with a budget is not revoked.
    pub(super) budget: Vec<Option<u64>>,
}

#[derive(Default)]
pub(super) struct Book {
    /// Records by the number in them.
    pub(super) records: BTreeMap<u64, Thing>,
    /// Keys by their id.
    pub(super) keys: BTreeMap<String, Key>,
    /// Runs by the number in their input.
    pub(super) runs: BTreeMap<u64, Thing>,
    /// How many model calls were answered.
    pub(super) answered: usize,
    /// How many model calls a kill caught under way.
    pub(super) caught: usize,
    next: u64,
}

impl Book {
    /// A number that was not given yet.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "{} records, {} keys, {} runs, {} model calls and {} caught",
            self.records.len(),
            self.keys.len(),
            self.runs.len(),
            self.answered,
            self.caught
        )
    }
}
