//! What a holder goes by: what the store says, and no longer than the store would.

use super::{Claims, MARGIN, RENEW_EVERY, TERM};
use async_trait::async_trait;
use context::{Lease, Operator, Tenant};
use ids::{Id as _, RunId, TenantId, WorkerId};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{Claim, Leases, PendingWork, StoreError, Wanted};

/// A store that gives everything, writes down what it was asked, and answers as long as it is there.
#[derive(Default)]
struct Given {
    asked: Mutex<Vec<(&'static str, usize)>>,
    lost: Mutex<BTreeSet<RunId>>,
    gone: AtomicBool,
}

impl Given {
    fn answers(&self, what: &'static str, count: usize) -> Result<(), StoreError> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable);
        }
        self.asked.lock().unwrap().push((what, count));
        Ok(())
    }

    fn asked(&self, what: &str) -> Vec<usize> {
        self.asked.lock().unwrap().iter().filter(|(it, _)| *it == what).map(|(_, count)| *count).collect()
    }
}

#[async_trait]
impl Leases for Given {
    fn shared(&self) -> bool {
        true
    }

    async fn unheld(&self, _: u32, _: u32) -> Result<Vec<PendingWork>, StoreError> {
        Ok(Vec::new())
    }

    async fn claim(
        &self,
        worker: WorkerId,
        all: &[Wanted],
        _: usize,
        _: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.answers("claim", all.len())?;
        Ok(all.iter().map(|wanted| Claim::Held(Lease { run: wanted.run, worker, fence: 1 })).collect())
    }

    async fn take(
        &self,
        _: &Tenant<'_>,
        worker: WorkerId,
        run: RunId,
        _: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        Ok(Some(Lease { run, worker, fence: 2 }))
    }

    async fn renew(&self, held: &[(TenantId, Lease)], _: Duration) -> Result<Vec<Lease>, StoreError> {
        self.answers("renew", held.len())?;
        let lost = self.lost.lock().unwrap();
        Ok(held.iter().map(|(_, lease)| *lease).filter(|lease| lost.contains(&lease.run)).collect())
    }

    async fn release(&self, held: &[(TenantId, Lease)]) -> Result<(), StoreError> {
        self.answers("release", held.len())
    }

    async fn revoke(&self, _: &Operator, _: TenantId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn pause(&self, _: &Operator, _: TenantId, _: WorkerId, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn resume(&self, _: &Operator, _: TenantId, _: WorkerId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn held(&self, _: &Operator, _: TenantId) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// The claims on such a store, and the runs that they told were lost.
struct Ground {
    store: Arc<Given>,
    claims: Claims,
    lost: Arc<Mutex<Vec<RunId>>>,
}

impl Ground {
    fn new() -> Self {
        let (store, lost) = (Arc::new(Given::default()), Arc::<Mutex<Vec<RunId>>>::default());
        let (claims, keeper) = Claims::new(WorkerId::from_parts(1, [1; 10]), store.clone());
        let told = lost.clone();
        tokio::spawn(keeper.keep(move |run| told.lock().unwrap().push(run)));
        Self { store, claims, lost }
    }

    async fn hold(&self, number: u8) -> Lease {
        match self.claims.claim(wanted(number)).await {
            Ok(Claim::Held(lease)) => lease,
            other => panic!("{other:?}"),
        }
    }

    fn lost(&self) -> Vec<RunId> {
        self.lost.lock().unwrap().clone()
    }
}

fn wanted(number: u8) -> Wanted {
    let tenant = TenantId::from_parts(1, [1; 10]);
    Wanted {
        tenant,
        run: RunId::from_parts(1, [number; 10]),
        at_once: 9,
        weight: NonZeroU32::MIN,
        certain: true,
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_ask_meanwhile_are_asked_for_together() {
    let ground = Ground::new();
    let all = futures::future::join_all((0..10).map(|number| ground.claims.claim(wanted(number)))).await;
    assert!(all.iter().all(|claim| matches!(claim, Ok(Claim::Held(_)))));
    assert_eq!(ground.store.asked("claim").iter().sum::<usize>(), 10);
    assert!(ground.store.asked("claim").len() <= 2, "{:?}", ground.store.asked("claim"));
    ground.claims.let_all_go();
    ground.claims.settled().await;
    assert_eq!(ground.store.asked("release").iter().sum::<usize>(), 10);
    assert!(ground.claims.tenants().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_live_while_it_is_renewed() {
    let ground = Ground::new();
    let lease = ground.hold(1).await;
    tokio::time::sleep(TERM * 5).await;
    assert!(ground.claims.is_live(lease) && ground.lost().is_empty());
    assert!(!ground.claims.is_live(Lease { fence: 2, ..lease }), "another one is not this one");
    ground.claims.let_go(lease.run);
    assert!(!ground.claims.is_live(lease));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_is_told_to_be_lost() {
    let ground = Ground::new();
    let (first, second) = (ground.hold(1).await, ground.hold(2).await);
    ground.store.lost.lock().unwrap().insert(first.run);
    tokio::time::sleep(RENEW_EVERY * 2).await;
    assert!(ground.lost().contains(&first.run) && !ground.lost().contains(&second.run));
}

#[tokio::test(start_paused = true)]
async fn without_the_store_it_ends_here_before_it_ends_there() {
    let ground = Ground::new();
    let lease = ground.hold(1).await;
    ground.store.gone.store(true, Ordering::Relaxed);
    tokio::time::sleep(TERM - MARGIN - Duration::from_millis(1)).await;
    assert!(ground.claims.is_live(lease));
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(!ground.claims.is_live(lease));
    tokio::time::sleep(RENEW_EVERY).await;
    assert_eq!(ground.lost(), [lease.run], "its driver is ended");
    assert_eq!(ground.claims.claim(wanted(2)).await, Err(StoreError::Unavailable));
}
