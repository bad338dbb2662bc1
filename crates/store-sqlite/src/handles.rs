//! The tenants in use: found by id, made once, and let go when nobody has needed them for a while.

use crate::error::Fault;
use crate::tenant::{TenantHandle, blocking};
use env::Timestamp;
use ids::TenantId;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long a tenant's database stays open without use, and how many stay open at the most.
const DATABASE_IDLE: Duration = Duration::from_secs(10);
const MAX_OPEN: usize = 256;
/// How long a tenant's keys and log position stay in memory without use, and how many at the most.
const HANDLE_IDLE: Duration = Duration::from_secs(120);
const MAX_HANDLES: usize = 4096;

type Cell = Arc<OnceCell<Arc<TenantHandle>>>;

struct Slot {
    cell: Cell,
    used: Timestamp,
}

/// The tenants in use.
#[derive(Default)]
pub(crate) struct Handles(Mutex<HashMap<TenantId, Slot>>);

impl Handles {
    /// The tenant's handle; `make` runs once however many ask.
    pub(crate) async fn get<F: Future<Output = Result<Arc<TenantHandle>, Fault>>>(
        &self,
        id: TenantId,
        now: Timestamp,
        make: impl Fn() -> F,
    ) -> Result<Arc<TenantHandle>, Fault> {
        loop {
            let cell = {
                let mut slots = self.lock();
                let slot = slots.entry(id).or_insert_with(|| Slot { cell: Cell::default(), used: now });
                slot.used = now;
                slot.cell.clone()
            };
            let made = cell.get_or_try_init(&make).await.cloned();
            match made {
                // Erased meanwhile: a handle that nobody can discard any more must not be used.
                Ok(_) if !self.holds(id, &cell) => {}
                Ok(handle) => return Ok(handle),
                Err(fault) => {
                    self.lock().retain(|other, slot| *other != id || slot.cell.get().is_some());
                    return Err(fault);
                }
            }
        }
    }

    fn holds(&self, id: TenantId, cell: &Cell) -> bool {
        self.lock().get(&id).is_some_and(|slot| Arc::ptr_eq(&slot.cell, cell))
    }

    /// Ends the use of an erased tenant, also for those who still hold its handle.
    pub(crate) async fn discard(&self, id: TenantId) -> Result<(), Fault> {
        let slot = self.lock().remove(&id);
        match slot.and_then(|slot| slot.cell.get().cloned()) {
            Some(handle) => {
                blocking(move || {
                    handle.discard();
                    Ok(())
                })
                .await
            }
            None => Ok(()),
        }
    }

    /// Closes what is idle or too many: first databases, then whole tenants.
    pub(crate) async fn sweep(&self, now: Timestamp) {
        let (close, drop) = self.idle(now);
        for handle in close.into_iter().chain(drop) {
            let id = handle.id;
            if let Err(fault) = blocking(move || handle.close()).await {
                tracing::error!(tenant.id = %id, %fault, "an idle tenant's database did not close");
            }
        }
    }

    /// The handles whose databases are to be closed, and those that were taken out of the map as well.
    fn idle(&self, now: Timestamp) -> (Vec<Arc<TenantHandle>>, Vec<Arc<TenantHandle>>) {
        let mut slots = self.lock();
        let mut by_use: Vec<_> = slots
            .iter()
            // Whoever has the cell is about to have the handle.
            .filter(|(_, slot)| Arc::strong_count(&slot.cell) == 1)
            .filter_map(|(id, slot)| Some((slot.used, *id, slot.cell.get()?.clone())))
            // Two of them are ours: the map's and this list's. More means that somebody is at work.
            .filter(|(.., handle)| Arc::strong_count(handle) <= 2)
            .collect();
        by_use.sort_by_key(|(used, ..)| *used);
        let mut open = by_use.iter().filter(|(.., handle)| handle.is_open()).count();
        let mut held = slots.len();
        let (mut close, mut drop) = (Vec::new(), Vec::new());
        for (used, id, handle) in by_use {
            let idle = now.since(used);
            let was_open = handle.is_open();
            if idle >= HANDLE_IDLE || held > MAX_HANDLES {
                slots.remove(&id);
                held -= 1;
                drop.push(handle);
            } else if was_open && (idle >= DATABASE_IDLE || open > MAX_OPEN) {
                close.push(handle);
            } else {
                continue;
            }
            open -= usize::from(was_open);
        }
        (close, drop)
    }

    /// Every tenant in use.
    pub(crate) fn all(&self) -> Vec<Arc<TenantHandle>> {
        self.lock().values().filter_map(|slot| slot.cell.get().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
