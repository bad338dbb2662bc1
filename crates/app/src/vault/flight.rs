//! [`Flights`]: at most one refresh of a credential at a time; whoever comes meanwhile waits for its outcome.

use errors::{Code, Problem};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use ids::{Slug, TenantId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Refreshes under way for all tenants, and for one.
const MAX_FLIGHTS: usize = 4096;
const MAX_OF_TENANT: usize = 32;

type Key = (TenantId, Slug);
/// A refresh under way. Dropping it does not end the refresh.
pub(super) type Flight = Shared<BoxFuture<'static, Result<(), Problem>>>;

/// The refreshes under way, and nothing else.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<Key, Flight>>,
}

impl Flights {
    /// Joins the refresh that is under way, or begins the one that `work` is. It goes on in a task of its
    /// own: a caller who stops waiting must not take the provider's answer along.
    pub(super) fn join(
        self: &Arc<Self>,
        key: Key,
        work: impl FnOnce() -> BoxFuture<'static, Result<(), Problem>>,
    ) -> Result<Flight, Problem> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = under_way.get(&key) {
            return Ok(flight.clone());
        }
        let mine = under_way.keys().filter(|(tenant, _)| *tenant == key.0).count();
        if mine >= MAX_OF_TENANT || under_way.len() >= MAX_FLIGHTS {
            let detail = "Too many credentials are being refreshed.";
            return Err(Problem::new(Code::ConcurrencyLimited, detail).retry_after(1));
        }
        let landing = Landing { flights: Arc::clone(self), key: key.clone() };
        let work = work();
        let task = tokio::spawn(async move {
            let _landing = landing;
            work.await
        });
        let flight = task.map(|landed| landed.unwrap_or_else(|_| Err(Problem::internal()))).boxed().shared();
        under_way.insert(key, flight.clone());
        Ok(flight)
    }

    /// Waits until none is under way.
    pub(super) async fn landed(&self) {
        loop {
            let next = {
                let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
                under_way.values().next().cloned()
            };
            let Some(flight) = next else { return };
            let _ = flight.await;
            tokio::task::yield_now().await;
        }
    }
}

/// Takes the flight off the list when its task ends, however it ends.
struct Landing {
    flights: Arc<Flights>,
    key: Key,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::{Flights, MAX_OF_TENANT};
    use env::{Env, Timestamp};
    use errors::Problem;
    use futures::FutureExt;
    use ids::{Slug, TenantId};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    fn key(number: usize) -> (TenantId, Slug) {
        let tenant = Env::fixed(Timestamp::from_millis(1), 1).0.id();
        (tenant, format!("service-{number}").parse().unwrap())
    }

    #[tokio::test]
    async fn those_who_come_meanwhile_share_the_outcome() {
        let (flights, begun) = (Arc::<Flights>::default(), Arc::<AtomicUsize>::default());
        let gate = Arc::new(Semaphore::new(0));
        let join = || {
            let (begun, gate) = (begun.clone(), gate.clone());
            let work = move || {
                async move {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let _open = gate.acquire().await;
                    Err(Problem::not_found())
                }
                .boxed()
            };
            flights.join(key(1), work).unwrap()
        };
        let (first, second) = (join(), join());
        gate.add_permits(1);
        assert_eq!(first.await, second.await);
        flights.landed().await;
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(join().await.is_err());
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn it_goes_on_when_nobody_waits_and_is_gone_when_it_panics() {
        let (flights, done) = (Arc::<Flights>::default(), Arc::<AtomicUsize>::default());
        let counter = done.clone();
        let work = move || {
            async move {
                tokio::task::yield_now().await;
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            .boxed()
        };
        drop(flights.join(key(1), work).unwrap());
        let panics = flights.join(key(2), || async { panic!("on purpose") }.boxed()).unwrap();
        assert_eq!(panics.await, Err(Problem::internal()));
        flights.landed().await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_tenants_refreshes_are_bounded() {
        let flights = Arc::<Flights>::default();
        let forever = || || std::future::pending().boxed();
        for number in 0..MAX_OF_TENANT {
            assert!(flights.join(key(number), forever()).is_ok());
        }
        assert!(flights.join(key(MAX_OF_TENANT), forever()).is_err());
        assert!(flights.join(key(0), forever()).is_ok());
        let (_, name) = key(0);
        let neighbour = Env::fixed(Timestamp::from_millis(1), 2).0.id();
        assert!(flights.join((neighbour, name), forever()).is_ok());
    }
}
