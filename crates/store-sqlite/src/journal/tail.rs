//! A tenant's rows that are durable in the journal and not yet in its open database.

use crate::rows::RowChange;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The rows that an open database has still to take over. While no database is open nothing is kept here:
/// the journal has everything.
#[derive(Default)]
pub(crate) struct Tail(Mutex<State>);

#[derive(Default)]
struct State {
    open: bool,
    rows: VecDeque<(u64, Vec<RowChange>)>,
}

impl Tail {
    /// Begins to keep rows, before the journal is read for what came earlier.
    pub(crate) fn open(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open = true;
        state.rows.clear();
    }

    /// Stops keeping rows.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::default();
    }

    /// Notes an entry that has just become durable.
    pub(crate) fn push(&self, number: u64, rows: Vec<RowChange>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open {
            state.rows.push_back((number, rows));
        }
    }

    /// Takes all entries up to and with `through`.
    pub(crate) fn take(&self, through: u64) -> Vec<(u64, Vec<RowChange>)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = state.rows.partition_point(|(number, _)| *number <= through);
        state.rows.drain(..end).collect()
    }

    /// How many entries wait.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rows.len()
    }
}
