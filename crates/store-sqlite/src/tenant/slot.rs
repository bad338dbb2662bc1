//! Where a tenant's open database is held, by one thread at a time. While a batch of writes waits for the journal
//! its tables are not to be seen, but the others may be read.

use super::Database;
use crate::rows::Tables;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The place of an open database, or of none.
#[derive(Default)]
pub(super) struct DatabaseSlot {
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Default)]
struct State {
    database: Option<Database>,
    /// The tables that a batch has changed of which nobody knows yet whether it happened.
    open: Option<Tables>,
}

/// The database, held.
pub(super) struct Held<'a> {
    slot: &'a DatabaseSlot,
    state: MutexGuard<'a, State>,
}

impl Deref for Held<'_> {
    type Target = Option<Database>;

    fn deref(&self) -> &Self::Target {
        &self.state.database
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.state.database
    }
}

impl DatabaseSlot {
    /// Holds the database once no batch waits.
    pub(super) fn lock(&self) -> Held<'_> {
        self.once(|open| open.is_none())
    }

    /// Holds it to read these tables, once no batch waits that has changed them.
    pub(super) fn lock_to_read(&self, tables: Tables) -> Held<'_> {
        self.once(|open| open.is_none_or(|changed| !changed.meets(tables)))
    }

    fn once(&self, ready: impl Fn(Option<Tables>) -> bool) -> Held<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !ready(state.open) {
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Held { slot: self, state }
    }

    /// Holds it if nobody else does, and no batch waits.
    pub(super) fn try_lock(&self) -> Option<Held<'_>> {
        self.at_once(|open| open.is_none())
    }

    /// Holds it to read these tables if nobody else does, and no batch waits that has changed them.
    pub(super) fn try_lock_to_read(&self, tables: Tables) -> Option<Held<'_>> {
        self.at_once(|open| open.is_none_or(|changed| !changed.meets(tables)))
    }

    fn at_once(&self, ready: impl Fn(Option<Tables>) -> bool) -> Option<Held<'_>> {
        let state = self.state.try_lock().ok()?;
        ready(state.open).then_some(Held { slot: self, state })
    }
}

impl<'a> Held<'a> {
    /// Waits for whether a change of these tables happened, while others are read.
    pub(super) fn while_open<T>(self, changed: Tables, wait: impl FnOnce() -> T) -> (Self, T) {
        let Self { slot, mut state } = self;
        state.open = Some(changed);
        drop(state);
        let settles = Settles(slot);
        let outcome = wait();
        let state = slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = Self { slot, state };
        held.state.open = None;
        drop(settles);
        (held, outcome)
    }
}

/// Wakes those who wait for the batch, also where waiting for it fell over.
struct Settles<'a>(&'a DatabaseSlot);

impl Drop for Settles<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.lock().unwrap_or_else(PoisonError::into_inner).open = None;
        }
        self.0.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseSlot;
    use crate::rows::{Table, Tables};
    use std::sync::mpsc;

    #[test]
    fn others_are_read_while_a_batch_waits() {
        let slot = DatabaseSlot::default();
        let (go_on, waits) = mpsc::channel();
        std::thread::scope(|threads| {
            let (begun, begins) = mpsc::channel();
            let held = &slot;
            threads.spawn(move || {
                let wait = || {
                    begun.send(()).unwrap();
                    waits.recv().unwrap();
                };
                drop(held.lock().while_open(Tables::only(Table::Run), wait));
            });
            begins.recv().unwrap();
            drop(slot.lock_to_read(Tables::only(Table::Record)));
            assert!(slot.try_lock().is_none());
            assert!(slot.try_lock_to_read(Tables::only(Table::Record)).is_some());
            assert!(slot.try_lock_to_read(Tables::only(Table::Run)).is_none());
            let (tell, told) = mpsc::channel();
            let waiting = &slot;
            threads.spawn(move || {
                drop(waiting.lock_to_read(Tables::ALL));
                tell.send(()).unwrap();
            });
            let none_yet = told.recv_timeout(std::time::Duration::from_millis(50));
            assert_eq!(none_yet, Err(mpsc::RecvTimeoutError::Timeout));
            go_on.send(()).unwrap();
            told.recv().unwrap();
        });
        assert!(slot.try_lock().is_some());
    }
}
