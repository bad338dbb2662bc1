//! Reading: from tables that contain everything that was submitted before, also while the disk takes nothing more.

use super::database::Database;
use super::handle::{TenantHandle, blocking};
use crate::error::Fault;
use crate::rows::Tables;
use std::sync::{Arc, PoisonError};

impl TenantHandle {
    /// Reads from tables that contain everything that was submitted before. Where the disk does not take what they lack,
    /// that is taken over in memory for this reading alone.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.read_of(Tables::ALL, query).await
    }

    /// The same for a query that looks at no other tables than these: the others may lack something.
    pub(crate) async fn read_of<T: Send + 'static>(
        self: &Arc<Self>,
        tables: Tables,
        query: impl FnOnce(&Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let turns = if self.tail.is_settled(tables) { &self.quick_turns } else { &self.turns };
        let (this, turn) = (self.clone(), turns.next().await?);
        let reading = move || {
            let _turn = turn;
            this.tail.wait_for_arrivals(tables);
            if let Some(database) = this.whole_in(tables, &this.database.lock_to_read(tables))? {
                return query(database);
            }
            let mut slot = this.database.lock();
            match this.ready(&mut slot, false) {
                Ok(database) => query(database),
                Err(Fault::DiskFull | Fault::Disk(_)) if this.path.exists() => {
                    query(&this.opening(&this.keys()).view()?)
                }
                Err(fault) => Err(fault),
            }
        };
        blocking(reading).await
    }

    /// The same for a look-up by key. Where the tables lack nothing and nobody works at them it is done at once: the way
    /// to a thread that may block takes several times as long.
    pub(crate) async fn look_up<T: Send + 'static>(
        self: &Arc<Self>,
        tables: Tables,
        query: impl FnOnce(&Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        if self.tail.is_settled(tables)
            && let Some(slot) = self.database.try_lock_to_read(tables)
            && let Some(database) = self.whole_in(tables, &slot)?
        {
            return query(database);
        }
        self.read_of(tables, query).await
    }

    /// How many events the log has, with those that are not durable yet, where that is known without the tables.
    pub(crate) fn log_size(&self) -> Option<u64> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        self.still_here().ok()?;
        let known = place.as_ref().filter(|place| place.log.epoch == self.journal.epoch());
        known.map(|place| place.log.size())
    }

    /// The database, if it is open and these tables of it lack nothing that is durable.
    fn whole_in<'a>(
        &self,
        tables: Tables,
        slot: &'a Option<Database>,
    ) -> Result<Option<&'a Database>, Fault> {
        self.still_here()?;
        Ok(slot.as_ref().filter(|database| !database.has_lost_pieces() && !self.tail.changes(tables)))
    }

    /// Runs `work` on the tables, opened and caught up. For blocking threads.
    pub(crate) fn with_database<T>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.tail.wait_for_arrivals(Tables::ALL);
        let mut slot = self.database.lock();
        work(self.ready(&mut slot, false)?)
    }
}
