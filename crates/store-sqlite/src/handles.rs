//! The tenants in use: found by id, made once, and let go when nobody has needed them for a while.

use crate::error::Fault;
use crate::tenant::{Openings, TenantHandle, blocking};
use env::Timestamp;
use ids::TenantId;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell};

/// How long a tenant's database stays open without use.
const DATABASE_IDLE: Duration = Duration::from_secs(10);
/// How many stay open at the most, and how much memory they may take together. A crowd in a test is a small
/// one, since each of its tenants makes a file.
const MAX_OPEN: usize = if cfg!(test) { 12 } else { 256 };
const MAX_OPEN_BYTES: u64 = 256 << 20;
/// How long a tenant's keys and log position stay in memory without use, and how many at the most.
const HANDLE_IDLE: Duration = Duration::from_secs(120);
const MAX_HANDLES: usize = 4096;
/// After how many opened databases the idle are looked for at once, and not only when a second is over.
const CROWD: usize = if cfg!(test) { 4 } else { 64 };
/// After how many whoever opened one looks for them itself, before it goes on: where closing does not keep up.
const HOST: usize = 4 * CROWD;

type Cell = Arc<OnceCell<Arc<TenantHandle>>>;

struct Slot {
    cell: Cell,
    used: Timestamp,
}

/// The tenants in use.
#[derive(Default)]
pub(crate) struct Handles {
    slots: Mutex<HashMap<TenantId, Slot>>,
    openings: Arc<Openings>,
    /// Rung when that are many.
    crowd: Notify,
    /// Held while the idle are looked for and closed.
    sweeping: tokio::sync::Mutex<()>,
}

/// What of the idle is to go.
struct Idle {
    handle: Arc<TenantHandle>,
    used: Timestamp,
    /// Whether the tenant's keys go with the database.
    drop: bool,
}

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
                Ok(handle) => {
                    self.make_room(now).await;
                    return Ok(handle);
                }
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

    /// What the opening of every tenant's database shares.
    pub(crate) fn openings(&self) -> Arc<Openings> {
        self.openings.clone()
    }

    /// Where many databases were opened, has the idle let go before a second is over.
    async fn make_room(&self, now: Timestamp) {
        match self.openings.lately() {
            0..CROWD => {}
            CROWD..HOST => self.crowd.notify_one(),
            HOST.. => self.sweep(now).await,
        }
    }

    /// Waits until many databases were opened.
    pub(crate) async fn crowded(&self) {
        self.crowd.notified().await;
    }

    /// Closes what is idle or too many: first databases, then whole tenants.
    pub(crate) async fn sweep(&self, now: Timestamp) {
        let _alone = self.sweeping.lock().await;
        self.close_idle(now).await;
    }

    async fn close_idle(&self, now: Timestamp) {
        self.openings.begin_to_count();
        for Idle { handle, used, drop } in self.idle(now) {
            let (id, closing) = (handle.id, handle.clone());
            if let Err(fault) = blocking(move || closing.close()).await {
                tracing::error!(tenant.id = %id, %fault, "an idle tenant's database did not close");
            }
            if drop {
                self.drop_if_idle(&handle, used);
            }
        }
    }

    /// Takes a tenant out of use whose database is closed by now, so that whoever comes next can open it. One
    /// that was used meanwhile stays.
    fn drop_if_idle(&self, handle: &Arc<TenantHandle>, used: Timestamp) {
        let mut slots = self.lock();
        let Some(slot) = slots.get(&handle.id) else { return };
        let same = slot.cell.get().is_some_and(|held| Arc::ptr_eq(held, handle));
        if same && slot.used == used && is_alone(slot, handle) && !handle.is_open() {
            slots.remove(&handle.id);
        }
    }

    /// What is to be closed, the longest unused first.
    fn idle(&self, now: Timestamp) -> Vec<Idle> {
        let (at_rest, mut held) = self.at_rest();
        // Asking takes longer than others may wait for the lock above.
        let asked = at_rest.into_iter().map(|(used, handle)| (used, handle.memory_used(), handle));
        let mut by_use: Vec<_> = asked.collect();
        by_use.sort_by_key(|(used, _, _)| *used);
        let open = || by_use.iter().filter_map(|(_, memory, _)| *memory);
        let (mut count, mut bytes) = (open().count(), open().sum::<u64>());
        let mut idle = Vec::new();
        for (used, memory, handle) in by_use {
            let unused = now.since(used);
            let drop = unused >= HANDLE_IDLE || held > MAX_HANDLES;
            let crowded = count > MAX_OPEN || bytes > MAX_OPEN_BYTES;
            if !(drop || memory.is_some() && (unused >= DATABASE_IDLE || crowded)) {
                continue;
            }
            held -= usize::from(drop);
            count -= usize::from(memory.is_some());
            bytes -= memory.unwrap_or(0);
            idle.push(Idle { handle, used, drop });
        }
        idle
    }

    /// The tenants that nobody is at work with, each with when it was used, and how many there are with the others.
    fn at_rest(&self) -> (Vec<(Timestamp, Arc<TenantHandle>)>, usize) {
        let slots = self.lock();
        let made = slots.values().filter_map(|slot| Some((slot, slot.cell.get()?.clone())));
        let at_rest = made.filter(|(slot, handle)| is_alone(slot, handle));
        (at_rest.map(|(slot, handle)| (slot.used, handle)).collect(), slots.len())
    }

    /// Every tenant in use.
    pub(crate) fn all(&self) -> Vec<Arc<TenantHandle>> {
        self.lock().values().filter_map(|slot| slot.cell.get().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody is at work with a tenant: its cell is in the map alone, and its handle there and in the
/// caller's hand.
fn is_alone(slot: &Slot, handle: &Arc<TenantHandle>) -> bool {
    Arc::strong_count(&slot.cell) == 1 && Arc::strong_count(handle) <= 2
}

#[cfg(test)]
mod tests;
