//! Bulkheads and circuits: how much one tenant, and all of them together, may have under way at an
//! endpoint, and when an endpoint is left alone. Bounded by count; what is idle and spotless is not kept.

use env::{Env, Timestamp};
use ids::{Slug, TenantId};
use model::ModelError;
use model::breaker::{Breaker, BreakerRule, Verdict};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadLimits {
    /// Calls of one tenant to one endpoint.
    pub tenant_calls: usize,
    /// Calls of all tenants to one endpoint.
    pub endpoint_calls: usize,
    /// How long a call waits for its turn before it is refused.
    pub wait: Duration,
    /// How many tenants and endpoints are kept count of.
    pub entries: usize,
    /// When a circuit opens, for a tenant and an endpoint.
    pub breaker: BreakerRule,
}

impl Default for BulkheadLimits {
    fn default() -> Self {
        Self {
            tenant_calls: 64,
            endpoint_calls: 1024,
            wait: Duration::from_secs(10),
            entries: 16_384,
            breaker: BreakerRule::default(),
        }
    }
}

type Lane = (TenantId, Slug);

/// The bulkheads and circuits of all endpoints.
pub(crate) struct Bulkheads {
    limits: BulkheadLimits,
    env: Env,
    lanes: Mutex<HashMap<Lane, Arc<Semaphore>>>,
    endpoints: Mutex<HashMap<Slug, Arc<Semaphore>>>,
    circuits: Mutex<HashMap<Lane, Breaker>>,
}

impl Bulkheads {
    pub(crate) fn new(limits: BulkheadLimits, env: Env) -> Self {
        Self { limits, env, lanes: Mutex::default(), endpoints: Mutex::default(), circuits: Mutex::default() }
    }

    /// Waits for a place. The tenant's own comes first, so that its queue takes no places from others.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        tenant: TenantId,
        endpoint: &Slug,
    ) -> Result<Place, ModelError> {
        let lane = (tenant, endpoint.clone());
        let of_tenant = semaphore(&self.lanes, &lane, self.limits.tenant_calls, self.limits.entries)?;
        let of_all = semaphore(&self.endpoints, endpoint, self.limits.endpoint_calls, self.limits.entries)?;
        let both = async {
            let of_tenant = of_tenant.acquire_owned().await;
            Ok::<_, tokio::sync::AcquireError>((of_tenant?, of_all.acquire_owned().await?))
        };
        let permits = tokio::time::timeout(self.limits.wait, both).await;
        let permits = permits.ok().and_then(Result::ok).ok_or(ModelError::Busy)?;
        self.admit(&lane)?;
        Ok(Place { bulkheads: Arc::clone(self), lane, verdict: Verdict::Unknown, _permits: permits })
    }

    fn admit(&self, lane: &Lane) -> Result<(), ModelError> {
        let now = self.env.now();
        let mut circuits = locked(&self.circuits);
        match circuits.get_mut(lane).map(|breaker| breaker.admit(now)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(open)) => {
                let seconds = u64::try_from(open.retry_after_ms).unwrap_or(0).div_ceil(1000);
                Err(ModelError::CircuitOpen { retry_after: seconds })
            }
        }
    }

    fn note(&self, lane: &Lane, verdict: Verdict) {
        let now = self.env.now();
        let mut circuits = locked(&self.circuits);
        match (circuits.get_mut(lane), verdict) {
            (Some(breaker), verdict) => {
                breaker.note(now, verdict);
                if breaker.is_spotless() {
                    circuits.remove(lane);
                }
            }
            (None, Verdict::Failed) => self.remember(&mut circuits, lane, now),
            (None, Verdict::Healthy | Verdict::Unknown) => {}
        }
    }

    fn remember(&self, circuits: &mut HashMap<Lane, Breaker>, lane: &Lane, now: Timestamp) {
        if circuits.len() >= self.limits.entries {
            // Any one goes: the worst that follows is a few calls more to an endpoint that fails.
            let Some(victim) = circuits.keys().next().cloned() else { return };
            circuits.remove(&victim);
        }
        let mut breaker = Breaker::new(self.limits.breaker);
        breaker.note(now, Verdict::Failed);
        circuits.insert(lane.clone(), breaker);
    }
}

/// A place among the calls under way. Dropping it gives the place back and notes how the call ended: a call
/// that was dropped before it ended tells nothing of the endpoint.
pub(crate) struct Place {
    bulkheads: Arc<Bulkheads>,
    lane: Lane,
    verdict: Verdict,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Place {
    /// Says at once that the endpoint answers, for an answer that takes its time.
    pub(crate) fn answered(&self) {
        self.bulkheads.note(&self.lane, Verdict::Healthy);
    }

    /// Says how the call went, as far as the endpoint's health is concerned.
    pub(crate) fn judge(&mut self, outcome: Result<(), &ModelError>) {
        self.verdict = match outcome {
            Ok(()) => Verdict::Healthy,
            Err(ModelError::Refused(refusal)) if refusal.status >= 500 => Verdict::Failed,
            // A limit or a bad key at the provider is no outage; other refusals are answers.
            Err(ModelError::Refused(refusal)) if matches!(refusal.status, 401 | 403 | 429) => {
                Verdict::Unknown
            }
            Err(ModelError::Refused(_) | ModelError::TooLarge) => Verdict::Healthy,
            Err(ModelError::Busy | ModelError::CircuitOpen { .. } | ModelError::Crossing(_)) => {
                Verdict::Unknown
            }
            Err(
                ModelError::Unsent(_) | ModelError::Timeout(_) | ModelError::Broken | ModelError::Garbled(_),
            ) => Verdict::Failed,
        };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.bulkheads.note(&self.lane, self.verdict);
    }
}

/// The semaphore under `key`. Those that nobody holds are dropped when there are too many.
fn semaphore<K: Clone + Eq + Hash>(
    map: &Mutex<HashMap<K, Arc<Semaphore>>>,
    key: &K,
    permits: usize,
    entries: usize,
) -> Result<Arc<Semaphore>, ModelError> {
    let mut map = locked(map);
    if let Some(found) = map.get(key) {
        return Ok(Arc::clone(found));
    }
    if map.len() >= entries {
        map.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        if map.len() >= entries {
            return Err(ModelError::Busy);
        }
    }
    let made = Arc::new(Semaphore::new(permits));
    map.insert(key.clone(), Arc::clone(&made));
    Ok(made)
}

/// Nothing that holds one of these locks can panic half-way through a change.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{BulkheadLimits, Bulkheads};
    use env::{Env, FixedClock, Timestamp};
    use ids::{Slug, TenantId};
    use model::{ModelError, Unsent};
    use std::sync::Arc;
    use std::time::Duration;

    fn bulkheads(limits: BulkheadLimits) -> (Arc<Bulkheads>, Arc<FixedClock>, [TenantId; 3], Slug) {
        let (env, clock) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 7);
        let tenants = [env.id(), env.id(), env.id()];
        (Arc::new(Bulkheads::new(limits, env)), clock, tenants, "openai".parse().unwrap())
    }

    fn small() -> BulkheadLimits {
        BulkheadLimits {
            tenant_calls: 2,
            endpoint_calls: 3,
            wait: Duration::from_millis(20),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn a_tenant_that_hangs_everywhere_leaves_room_for_others() {
        let (bulkheads, _, [a, b, c], openai) = bulkheads(small());
        let held = [bulkheads.enter(a, &openai).await.unwrap(), bulkheads.enter(a, &openai).await.unwrap()];
        assert!(matches!(bulkheads.enter(a, &openai).await, Err(ModelError::Busy)));
        let other = bulkheads.enter(b, &openai).await.unwrap();
        assert!(matches!(bulkheads.enter(c, &openai).await, Err(ModelError::Busy)), "the endpoint is full");
        let elsewhere: Slug = "local".parse().unwrap();
        assert!(bulkheads.enter(a, &elsewhere).await.is_ok());
        drop((held, other));
        assert!(bulkheads.enter(c, &openai).await.is_ok());
    }

    #[tokio::test]
    async fn a_circuit_is_of_one_tenant_and_one_endpoint() {
        let (bulkheads, clock, [a, b, _], openai) = bulkheads(small());
        for _ in 0..5 {
            bulkheads.enter(a, &openai).await.unwrap().judge(Err(&ModelError::Unsent(Unsent::Connect)));
        }
        let refused = bulkheads.enter(a, &openai).await.map(drop);
        assert_eq!(refused, Err(ModelError::CircuitOpen { retry_after: 10 }));
        assert!(bulkheads.enter(b, &openai).await.is_ok());
        clock.advance(10_000);
        bulkheads.enter(a, &openai).await.unwrap().judge(Ok(()));
        assert!(bulkheads.circuits.lock().unwrap().is_empty(), "what is spotless is not kept");
    }

    #[tokio::test]
    async fn the_maps_are_bounded() {
        let (bulkheads, _, tenants, openai) = bulkheads(BulkheadLimits { entries: 2, ..small() });
        for tenant in tenants {
            bulkheads.enter(tenant, &openai).await.unwrap().judge(Err(&ModelError::Broken));
        }
        assert!(bulkheads.lanes.lock().unwrap().len() <= 2);
        assert_eq!(bulkheads.circuits.lock().unwrap().len(), 2);
        let held = [
            bulkheads.enter(tenants[0], &openai).await.unwrap(),
            bulkheads.enter(tenants[1], &openai).await.unwrap(),
        ];
        assert!(matches!(bulkheads.enter(tenants[2], &openai).await, Err(ModelError::Busy)));
        drop(held);
    }
}
