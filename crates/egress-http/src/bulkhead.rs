//! [`Bulkheads`]: how many calls may be under way, in all and for each tenant. Who is over the bound waits for its
//! turn, as long as it says and behind those of its own tenant that came before; no tenant has more waiting than may
//! be under way, so that nobody's waiting can fill a queue that others need.

use egress::EgressError;
use ids::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many calls of a tenant may wait, as a multiple of how many may be under way.
const WAITING: usize = 4;

/// The bounds, and who is within them.
pub(crate) struct Bulkheads {
    per_tenant: usize,
    /// Places of all tenants.
    all: Arc<Semaphore>,
    /// Tenants with a call under way or waiting and no others.
    lanes: Mutex<HashMap<TenantId, Lane>>,
}

/// One tenant's places.
struct Lane {
    places: Arc<Semaphore>,
    /// Calls that have one or wait for one.
    calls: usize,
}

impl Bulkheads {
    pub(crate) fn new(total: usize, per_tenant: usize) -> Arc<Self> {
        Arc::new(Self { per_tenant, all: Arc::new(Semaphore::new(total)), lanes: Mutex::default() })
    }

    /// A place for one call, given back when it is dropped. The tenant's own comes first, so that those of its calls
    /// that wait take no place from others.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        tenant: TenantId,
        patience: Duration,
    ) -> Result<Place, EgressError> {
        let (places, turn) = self.line_up(tenant)?;
        let both = async {
            let mine = places.acquire_owned().await;
            Ok::<_, tokio::sync::AcquireError>([mine?, Arc::clone(&self.all).acquire_owned().await?])
        };
        let permits = tokio::time::timeout(patience, both).await;
        let permits = permits.ok().and_then(Result::ok).ok_or(EgressError::Busy)?;
        Ok(Place { _permits: permits, _turn: turn })
    }

    fn line_up(self: &Arc<Self>, tenant: TenantId) -> Result<(Arc<Semaphore>, Turn), EgressError> {
        let mut lanes = self.lanes();
        let most = self.per_tenant.saturating_mul(1 + WAITING);
        let lane = lanes
            .entry(tenant)
            .or_insert_with(|| Lane { places: Arc::new(Semaphore::new(self.per_tenant)), calls: 0 });
        if lane.calls >= most {
            return Err(EgressError::Busy);
        }
        lane.calls += 1;
        Ok((Arc::clone(&lane.places), Turn { bulkheads: Arc::clone(self), tenant }))
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<TenantId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the calls that are under way.
pub(crate) struct Place {
    _permits: [OwnedSemaphorePermit; 2],
    /// Goes last, when its place is free again.
    _turn: Turn,
}

/// A call that is under way or waits.
struct Turn {
    bulkheads: Arc<Bulkheads>,
    tenant: TenantId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lanes = self.bulkheads.lanes();
        match lanes.get_mut(&self.tenant) {
            Some(lane) if lane.calls > 1 => lane.calls -= 1,
            _ => {
                lanes.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bulkheads;
    use env::{Env, Timestamp};
    use ids::TenantId;
    use std::time::Duration;

    const AT_ONCE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(60);

    fn tenants() -> [TenantId; 3] {
        let env = Env::fixed(Timestamp::from_millis(1), 1).0;
        [env.id(), env.id(), env.id()]
    }

    #[tokio::test]
    async fn one_tenants_calls_leave_room_for_anothers() {
        let [greedy, other, third] = tenants();
        let bulkheads = Bulkheads::new(3, 2);
        let held = [bulkheads.enter(greedy, AT_ONCE).await, bulkheads.enter(greedy, AT_ONCE).await];
        assert!(held.iter().all(Result::is_ok) && bulkheads.enter(greedy, AT_ONCE).await.is_err());
        let _other = bulkheads.enter(other, AT_ONCE).await.ok().unwrap();
        assert!(bulkheads.enter(third, AT_ONCE).await.is_err());
        drop(held);
        assert!(bulkheads.enter(third, AT_ONCE).await.is_ok());
    }

    #[tokio::test]
    async fn tenants_without_calls_are_forgotten() {
        let bulkheads = Bulkheads::new(10, 2);
        for tenant in tenants() {
            let held = [bulkheads.enter(tenant, AT_ONCE).await, bulkheads.enter(tenant, AT_ONCE).await];
            assert!(bulkheads.enter(tenant, AT_ONCE).await.is_err());
            drop(held);
        }
        assert!(bulkheads.lanes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_in_turn_and_takes_no_place_from_others() {
        let [greedy, other, _] = tenants();
        let bulkheads = Bulkheads::new(2, 1);
        let held = bulkheads.enter(greedy, AT_ONCE).await.ok().unwrap();
        let order = std::cell::RefCell::new(Vec::new());
        let wait = async |number| {
            let place = bulkheads.enter(greedy, LONG).await;
            order.borrow_mut().push((number, place.is_ok()));
        };
        let free = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Four wait by now, a fifth is told at once, and another tenant enters past them.
            assert!(bulkheads.enter(greedy, LONG).await.is_err());
            assert!(bulkheads.enter(other, AT_ONCE).await.is_ok());
            assert!(order.borrow().is_empty());
            drop(held);
        };
        tokio::join!(wait(1), wait(2), wait(3), wait(4), free);
        assert_eq!(*order.borrow(), [1, 2, 3, 4].map(|number| (number, true)));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_patience_and_leaves_nothing() {
        let [tenant, ..] = tenants();
        let bulkheads = Bulkheads::new(2, 1);
        let held = bulkheads.enter(tenant, AT_ONCE).await.ok().unwrap();
        let begun = tokio::time::Instant::now();
        assert!(bulkheads.enter(tenant, LONG).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), LONG.as_secs());
        drop(held);
        assert!(bulkheads.enter(tenant, AT_ONCE).await.is_ok() && bulkheads.lanes().is_empty());
    }
}
