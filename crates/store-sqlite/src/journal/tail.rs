//! A tenant's rows that are durable in the journal and not yet in its open database, and how many of its
//! entries are on their way there.

use crate::rows::{RowChange, Tables};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The rows that an open database has still to take over. While no database is open nothing is kept here:
/// the journal has everything.
#[derive(Default)]
pub(crate) struct Tail {
    state: Mutex<State>,
    on_the_way: Mutex<OnTheWay>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    rows: VecDeque<(u64, Vec<RowChange>)>,
    /// The last entry that changes each table.
    last: [u64; Tables::MOST],
}

/// Entries of the tenant, counted from its handle's beginning.
#[derive(Default)]
struct OnTheWay {
    submitted: u64,
    /// Those that are durable, or failed. They arrive in the order in which they were submitted.
    arrived: u64,
    /// The last one submitted that changes each table.
    last: [u64; Tables::MOST],
    waiting: usize,
}

/// An entry on its way into the journal; it has arrived, or failed, when this is dropped.
pub(crate) struct Way(Arc<Tail>);

impl Drop for Way {
    fn drop(&mut self) {
        let mut on_the_way = self.0.on_the_way();
        on_the_way.arrived += 1;
        if on_the_way.waiting > 0 {
            self.0.arrived.notify_all();
        }
    }
}

impl Tail {
    /// An entry with these rows is submitted.
    pub(crate) fn submitted(self: &Arc<Self>, rows: &[RowChange]) -> Way {
        let mut on_the_way = self.on_the_way();
        on_the_way.submitted += 1;
        for place in Tables::changed_by(rows).places() {
            on_the_way.last[place] = on_the_way.submitted;
        }
        drop(on_the_way);
        Way(self.clone())
    }

    /// Waits until every entry has arrived that is on its way now and changes one of these tables. For blocking
    /// threads.
    pub(crate) fn wait_for_arrivals(&self, tables: Tables) {
        let mut on_the_way = self.on_the_way();
        let goal = tables.places().map(|place| on_the_way.last[place]).max().unwrap_or(0);
        on_the_way.waiting += 1;
        while on_the_way.arrived < goal {
            on_the_way = self.arrived.wait(on_the_way).unwrap_or_else(PoisonError::into_inner);
        }
        on_the_way.waiting -= 1;
    }

    /// Whether these tables lack nothing that was submitted.
    pub(crate) fn is_settled(&self, tables: Tables) -> bool {
        let arrived = {
            let on_the_way = self.on_the_way();
            tables.places().all(|place| on_the_way.last[place] <= on_the_way.arrived)
        };
        arrived && !self.changes(tables)
    }

    fn on_the_way(&self) -> MutexGuard<'_, OnTheWay> {
        self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to keep rows, before the journal is read for what came earlier.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        *state = State { open: true, ..State::default() };
    }

    /// Stops keeping rows.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        *state = State::default();
    }

    /// Notes an entry that has just become durable.
    pub(crate) fn push(&self, number: u64, rows: Vec<RowChange>) {
        let mut state = self.state();
        if state.open {
            for place in Tables::changed_by(&rows).places() {
                state.last[place] = number;
            }
            state.rows.push_back((number, rows));
        }
    }

    /// Whether a waiting entry changes one of these tables.
    pub(crate) fn changes(&self, tables: Tables) -> bool {
        let state = self.state();
        let first = state.rows.front().map(|(number, _)| *number);
        first.is_some_and(|first| tables.places().any(|place| state.last[place] >= first))
    }

    /// Takes all entries up to and with `through`.
    pub(crate) fn take(&self, through: u64) -> Vec<(u64, Vec<RowChange>)> {
        let mut state = self.state();
        let end = state.rows.partition_point(|(number, _)| *number <= through);
        state.rows.drain(..end).collect()
    }

    /// How many entries wait.
    pub(crate) fn len(&self) -> usize {
        self.state().rows.len()
    }
}
