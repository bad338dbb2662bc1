//! [`Claims`]: the leases of this process on runs. Whoever wants one, and whoever lets go of one, waits for the next
//! question to the store, which is asked for all of them together.

use context::Lease;
use ids::{RunId, TenantId, WorkerId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Claim, Leases, StoreError, Wanted};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

/// How long a lease holds. Runs of a process that died go on elsewhere after so long.
pub(crate) const TERM: Duration = Duration::from_secs(6);
/// How often leases are renewed.
const RENEW_EVERY: Duration = Duration::from_millis(1_500);
/// How much sooner than the store a holder takes its lease for ended.
const MARGIN: Duration = Duration::from_secs(1);
/// How many are asked for at once.
const AT_ONCE: usize = 64;
/// How long one question to the store may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What asking for a run will come to.
pub(crate) type Asked = oneshot::Receiver<Result<Claim, StoreError>>;

enum Ask {
    /// Runs, and how many places there are for those that compete for one.
    Give(Vec<(Wanted, oneshot::Sender<Result<Claim, StoreError>>)>, usize),
    LetGo(TenantId, Lease),
    /// Answered when all that was let go of before is.
    Settled(oneshot::Sender<()>),
}

/// A lease that this process goes by, and until when.
#[derive(Clone, Copy)]
struct Held {
    tenant: TenantId,
    lease: Lease,
    until: Instant,
}

/// The leases of this process. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Claims(Arc<Inner>);

struct Inner {
    worker: WorkerId,
    held: Mutex<HashMap<RunId, Held>>,
    asks: mpsc::UnboundedSender<Ask>,
}

impl Claims {
    /// None yet, and what is to be carried on for there to be some.
    pub(crate) fn new(worker: WorkerId, store: Arc<dyn Leases>) -> (Self, Keeper) {
        let (asks, asked) = mpsc::unbounded_channel();
        let claims = Self(Arc::new(Inner { worker, held: Mutex::default(), asks }));
        (claims.clone(), Keeper { claims, store, asked })
    }

    /// Who holds them.
    pub(crate) fn worker(&self) -> WorkerId {
        self.0.worker
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for runs, for so many of which there is a place beside those that have one for certain.
    pub(crate) fn ask(&self, wanted: &[Wanted], places: usize) -> Vec<Asked> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let (asks, answers) = wanted
            .iter()
            .map(|wanted| {
                let (answer, answered) = oneshot::channel();
                ((*wanted, answer), answered)
            })
            .unzip();
        // Where nobody asks any more, the process ends.
        let _ = self.0.asks.send(Ask::Give(asks, places));
        answers
    }

    /// Asks for a run that has a place.
    pub(crate) async fn claim(&self, wanted: Wanted) -> Result<Claim, StoreError> {
        match self.ask(&[wanted], 0).pop() {
            Some(asked) => asked.await.unwrap_or(Err(StoreError::Unavailable)),
            None => Err(StoreError::Unavailable),
        }
    }

    /// Goes by a lease that was asked for at this time.
    pub(crate) fn goes_by(&self, tenant: TenantId, lease: Lease, asked: Instant) {
        self.held().insert(lease.run, Held { tenant, lease, until: asked + TERM - MARGIN });
    }

    /// Whether the lease can still be gone by.
    pub(crate) fn is_live(&self, lease: Lease) -> bool {
        let now = Instant::now();
        self.held().get(&lease.run).is_some_and(|held| held.lease == lease && now < held.until)
    }

    /// Lets go of a run, if it is held.
    pub(crate) fn let_go(&self, run: RunId) {
        if let Some(Held { tenant, lease, .. }) = self.held().remove(&run) {
            // Where nobody asks any more, the lease ends by itself.
            let _ = self.0.asks.send(Ask::LetGo(tenant, lease));
        }
    }

    /// Lets go of all runs.
    pub(crate) fn let_all_go(&self) {
        let runs: Vec<_> = self.held().keys().copied().collect();
        runs.into_iter().for_each(|run| self.let_go(run));
    }

    /// Waits until all that was let go of is free for others.
    pub(crate) async fn settled(&self) {
        let (done, settled) = oneshot::channel();
        let _ = self.0.asks.send(Ask::Settled(done));
        // Where nobody asks any more, there is nothing to wait for.
        let _ = tokio::time::timeout(PATIENCE, settled).await;
    }

    /// Tenants whose runs are held.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        let mut all: Vec<_> = self.held().values().map(|held| held.tenant).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn all(&self) -> Vec<(TenantId, Lease)> {
        self.held().values().map(|held| (held.tenant, held.lease)).collect()
    }

    /// Puts the end of leases off that were renewed, and gives back the runs that cannot be gone on with.
    fn renewed(&self, lost: Result<Vec<Lease>, StoreError>, asked: Instant) -> Vec<RunId> {
        let now = Instant::now();
        let mut held = self.held();
        match lost {
            Ok(lost) => {
                for each in held.values_mut().filter(|each| !lost.contains(&each.lease)) {
                    each.until = each.until.max(asked + TERM - MARGIN);
                }
                let still = |lease: &Lease| held.get(&lease.run).is_some_and(|held| held.lease == *lease);
                lost.iter().filter(|lease| still(lease)).map(|lease| lease.run).collect()
            }
            Err(error) => {
                tracing::warn!(%error, runs = held.len(), "leases could not be renewed");
                held.iter().filter(|(_, each)| each.until <= now).map(|(run, _)| *run).collect()
            }
        }
    }
}

/// Asks the store, for as long as it is carried on.
pub(crate) struct Keeper {
    claims: Claims,
    store: Arc<dyn Leases>,
    asked: mpsc::UnboundedReceiver<Ask>,
}

impl Keeper {
    /// Asks for what is wanted, lets go, and renews; tells of runs that are lost. Ends when it is dropped.
    pub(crate) async fn keep(mut self, lost: impl Fn(RunId)) {
        let mut renewal = tokio::time::interval(RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = Vec::new();
        loop {
            tokio::select! {
                _ = renewal.tick() => self.renew(&lost).await,
                count = self.asked.recv_many(&mut asks, AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    self.answer(&mut asks).await;
                }
            }
        }
    }

    async fn renew(&self, lost: &impl Fn(RunId)) {
        let all = self.claims.all();
        if all.is_empty() {
            return;
        }
        let asked = Instant::now();
        let answer = within(self.store.renew(&all, TERM)).await;
        for run in self.claims.renewed(answer, asked) {
            tracing::info!(%run, "a run is carried out elsewhere by now");
            lost(run);
        }
    }

    async fn answer(&self, asks: &mut Vec<Ask>) {
        let (mut wanted, mut answers, mut places) = (Vec::new(), Vec::new(), 0);
        let (mut left, mut settled) = (Vec::new(), Vec::new());
        for ask in asks.drain(..) {
            match ask {
                Ask::Give(asked, for_these) => {
                    places += for_these;
                    for (run, answer) in asked {
                        wanted.push(run);
                        answers.push(answer);
                    }
                }
                Ask::LetGo(tenant, lease) => left.push((tenant, lease)),
                Ask::Settled(done) => settled.push(done),
            }
        }
        if !left.is_empty()
            && let Err(error) = within(self.store.release(&left)).await
        {
            tracing::warn!(%error, runs = left.len(), "runs could not be let go of; their leases end by themselves");
        }
        // Whoever waited may be gone.
        settled.into_iter().for_each(|done| _ = done.send(()));
        if wanted.is_empty() {
            return;
        }
        let asked = Instant::now();
        let claims = within(self.store.claim(self.claims.worker(), &wanted, places, TERM)).await;
        for ((place, wanted), answer) in wanted.iter().enumerate().zip(answers) {
            let claim = match &claims {
                Ok(claims) => claims.get(place).copied().ok_or(StoreError::Unavailable),
                Err(error) => Err(error.clone()),
            };
            if let Ok(Claim::Held(lease)) = claim {
                self.claims.goes_by(wanted.tenant, lease, asked);
                if answer.send(claim).is_err() {
                    self.claims.let_go(lease.run);
                }
            } else {
                // Whoever asked may be gone.
                let _ = answer.send(claim);
            }
        }
    }
}

/// What the store answers in time.
async fn within<T>(asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(StoreError::Unavailable))
}

#[cfg(test)]
mod tests;
