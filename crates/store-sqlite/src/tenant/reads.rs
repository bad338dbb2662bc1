//! Reading: from tables that contain everything that was submitted before, also while the disk takes nothing more.

use super::database::Database;
use super::handle::{TenantHandle, blocking, lock};
use crate::error::Fault;
use std::sync::Arc;

impl TenantHandle {
    /// Reads from tables that contain everything that was submitted before. Where the disk does not take what they lack,
    /// that is taken over in memory for this reading alone.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (this, turn) = (self.clone(), self.turns.next().await?);
        let reading = move || {
            let _turn = turn;
            this.tail.wait_for_arrivals();
            let mut slot = lock(&this.database);
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

    /// Runs `work` on the tables, opened and caught up. For blocking threads.
    pub(crate) fn with_database<T>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.tail.wait_for_arrivals();
        let mut slot = lock(&self.database);
        work(self.ready(&mut slot, false)?)
    }
}
