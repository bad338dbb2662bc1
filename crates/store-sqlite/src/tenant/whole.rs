//! What is done to a tenant's file as a whole: bringing it to the disk, closing it, another file in its
//! place, another key.
//!
//! Where a file or key changes nobody reads or writes meanwhile: the database's lock is held throughout, and
//! the log's position is forgotten at the beginning, without which nobody submits anything to the journal.

use super::handle::{Secrets, TenantHandle, lock};
use super::{Database, schema};
use crate::error::Fault;
use crate::keys::TenantKeys;
use sqlcipher::Connection;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

/// What stands in the way of reading the present file.
pub(crate) const fn is_damage(fault: &Fault) -> bool {
    matches!(fault, Fault::Damaged(_) | Fault::WrongTenant)
}

impl TenantHandle {
    /// Keeps others from doing something to the file as a whole while this is held. For blocking threads.
    pub(crate) fn as_a_whole(&self) -> MutexGuard<'_, ()> {
        lock(&self.whole)
    }

    /// Puts a staged file in the place of the tenant's own, after `carry_over` has brought into it what must
    /// outlive the change. It is given `None` where the present file cannot be read. For blocking threads.
    pub(crate) fn replace_file<T>(
        &self,
        staged: &Path,
        carry_over: impl FnOnce(Option<&Database>, &Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut slot = self.database.lock();
        self.hold_submissions()?;
        let readable = match self.opened(&mut slot, true) {
            Ok(database) => database.sync(),
            Err(fault) => Err(fault),
        };
        let readable = match readable {
            Ok(true) => true,
            Ok(false) => return Err(Fault::Io("a write-ahead log that could not be emptied".into())),
            Err(fault) if is_damage(&fault) => false,
            Err(fault) => return Err(fault),
        };
        let next = sqlcipher::open(staged, self.keys().content(), &crate::sqlite::tenant_options(false))?;
        schema::migrate(&next, || Ok(()))?;
        let carried = carry_over(slot.as_ref().filter(|_| readable), &next)?;
        let whole = next.checkpoint()?;
        next.close()?;
        if !whole {
            return Err(Fault::Io("a write-ahead log that could not be emptied".into()));
        }
        self.let_go(&mut slot);
        crate::files::replace_database(staged, &self.path)?;
        Ok(carried)
    }

    /// Writes the tenant's file anew under other keys, and uses them from then on. `commit` is called once
    /// the new file is on the disk: when it is back, the new keys count, also after a crash. `finish` is
    /// called once the new file is in place. For blocking threads.
    pub(crate) fn change_keys(
        &self,
        staged: &Path,
        keys: TenantKeys,
        commit: impl FnOnce() -> Result<(), Fault>,
        finish: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut slot = self.database.lock();
        self.hold_submissions()?;
        let database = self.opened(&mut slot, true)?;
        if !database.sync()? {
            return Err(Fault::Io("a write-ahead log that could not be emptied".into()));
        }
        // The journal's entries are sealed under the present key; the file contains them all.
        self.journal.forget(self.id, database.folded);
        database.connection.export_copy(staged, keys.content())?;
        self.let_go(&mut slot);
        commit()?;
        crate::files::replace_database(staged, &self.path)?;
        let secrets = Secrets::of(self.id, keys, &self.journal);
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = secrets;
        finish()
    }

    /// Brings the tables to the disk, also where the tenant has no file yet, and lets the journal forget what they
    /// contain. For blocking threads.
    pub(crate) fn settle(&self) -> Result<(), Fault> {
        let mut slot = self.database.lock();
        self.opened(&mut slot, true)?;
        self.settle_open(&mut slot)
    }

    /// The same, and leaves a database closed that was: thousands may wait that nobody uses.
    pub(crate) fn settle_at_rest(&self) -> Result<(), Fault> {
        if self.is_open() { self.settle() } else { self.settle().and_then(|()| self.close()) }
    }

    fn settle_open(&self, slot: &mut Option<Database>) -> Result<(), Fault> {
        if let Some(database) = slot
            && database.sync()?
        {
            self.journal.forget(self.id, database.folded);
        }
        Ok(())
    }

    /// Closes the database, after bringing it to the disk. For blocking threads.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        // Under one lock from the first look to the last: whoever read or wrote on a database whose tail
        // is closed already would miss what has just become durable.
        let mut slot = self.database.lock();
        let settled = if slot.is_some() {
            self.opened(&mut slot, false).map(drop).and_then(|()| self.settle_open(&mut slot))
        } else {
            Ok(())
        };
        self.let_go(&mut slot);
        settled
    }

    /// Ends the use of an erased tenant: whoever still has the handle is refused from now on. For blocking
    /// threads.
    pub(crate) fn discard(&self) {
        let mut slot = self.database.lock();
        let mut place = lock(&self.place);
        self.gone.store(true, Ordering::SeqCst);
        *place = None;
        self.let_go(&mut slot);
    }

    /// Lets nobody submit until the database's lock, which the caller holds, is free again. What was
    /// submitted before is durable, or refused, when this is back.
    fn hold_submissions(&self) -> Result<(), Fault> {
        self.still_here()?;
        *lock(&self.place) = None;
        self.journal.mark(self.id, Vec::new())
    }
}
