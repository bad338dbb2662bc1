//! Rows and events that become durable without touching the tables, which take them over later. For what every
//! request writes and few read: audit and usage.

use super::handle::{Append, Submitted, TenantHandle, blocking};
use crate::error::Fault;
use ids::EventId;
use std::sync::Arc;

/// An append that has its place among the tenant's writes.
pub(crate) struct PlacedAppend {
    handle: Arc<TenantHandle>,
    append: Arc<Append>,
    submitted: Submitted,
}

impl PlacedAppend {
    /// Waits until it is durable. Gives back the events' ids.
    pub(crate) async fn written(self) -> Result<Vec<EventId>, Fault> {
        let Self { handle, append, mut submitted } = self;
        loop {
            match submitted.durable.await.map_err(|_| Fault::Stopped)? {
                // What was before it in the journal failed, and so it never had this place.
                Err(Fault::Renumber) => submitted = handle.submit(&append).await?,
                Err(fault) => return Err(fault),
                Ok(_) => {
                    handle.fold_if_long();
                    return Ok(submitted.ids);
                }
            }
        }
    }
}

impl TenantHandle {
    /// Gives rows and events their place: whatever is written or read afterwards comes after them.
    pub(crate) async fn place_append(self: &Arc<Self>, append: Append) -> Result<PlacedAppend, Fault> {
        let append = Arc::new(append);
        let submitted = self.submit(&append).await?;
        Ok(PlacedAppend { handle: self.clone(), append, submitted })
    }

    /// Makes rows and events durable. Gives back the events' ids.
    pub(crate) async fn append(self: &Arc<Self>, append: Append) -> Result<Vec<EventId>, Fault> {
        self.place_append(append).await?.written().await
    }

    /// Submits, finding out first where the log stands if that is not known.
    async fn submit(self: &Arc<Self>, append: &Arc<Append>) -> Result<Submitted, Fault> {
        loop {
            if let Some(submitted) = self.submit_if_placed(append)? {
                return Ok(submitted);
            }
            let (this, append) = (self.clone(), append.clone());
            let turn = self.turns.next().await?;
            let placed = move || {
                let _turn = turn;
                this.with_database(|_| Ok(()))?;
                this.submit_if_placed(&append)
            };
            if let Some(submitted) = blocking(placed).await? {
                return Ok(submitted);
            }
        }
    }
}
