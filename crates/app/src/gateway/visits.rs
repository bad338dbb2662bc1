//! Calls under way: each is a visit in a task of its own, which notices when its caller goes away or its
//! tenant is to be left alone. A stop waits for all of them, a suspension or an erasure for its tenant's.

use context::Admission;
use errors::{Code, Problem};
use ids::TenantId;
use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Calls that may be on their way or being settled, so that a stop can wait for them.
const MAX_VISITS: u32 = 1 << 20;

/// Whom calls under way listen to.
#[derive(Default)]
struct Signals {
    /// Only tenants with calls under way.
    tenants: Mutex<HashMap<TenantId, watch::Sender<bool>>>,
}

impl Signals {
    /// Nothing that holds the lock can panic half-way through a change.
    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, watch::Sender<bool>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls under way.
pub(super) struct Visits {
    places: Arc<Semaphore>,
    signals: Arc<Signals>,
}

impl Visits {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_VISITS as usize)), signals: Arc::default() }
    }

    /// A call begins. It is over when what this gives is dropped.
    pub(super) async fn begin(&self, admission: &Admission) -> Result<Visit, Problem> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Problem::internal())?;
        let tenant = admission.tenant_id();
        let halted = {
            let mut tenants = self.signals.tenants();
            tenants.entry(tenant).or_insert_with(|| watch::Sender::new(false)).subscribe()
        };
        let signals = Arc::clone(&self.signals);
        Ok(Visit { halt: Some(Halt(halted)), _listed: Listed { tenant, signals }, _place: place })
    }

    /// Ends the calls of a tenant, and waits until they are written down. Whether they were in time.
    pub(super) async fn halt(&self, tenant: TenantId, patience: Duration) -> bool {
        let Some(signal) = self.signals.tenants().remove(&tenant) else { return true };
        signal.send_replace(true);
        tokio::time::timeout(patience, signal.closed()).await.is_ok()
    }

    /// Waits until no call is under way.
    pub(super) async fn drained(&self) {
        drop(self.places.acquire_many(MAX_VISITS).await);
    }
}

/// A call under way.
pub(super) struct Visit {
    /// Goes to the call, and is dropped with it, before the rest of this.
    pub(super) halt: Option<Halt>,
    _listed: Listed,
    _place: OwnedSemaphorePermit,
}

/// A tenant is listed as long as it has calls under way.
struct Listed {
    tenant: TenantId,
    signals: Arc<Signals>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut tenants = self.signals.tenants();
        if tenants.get(&self.tenant).is_some_and(|signal| signal.receiver_count() == 0) {
            tenants.remove(&self.tenant);
        }
    }
}

/// How a call learns that its tenant is to be left alone.
pub(super) struct Halt(watch::Receiver<bool>);

impl Halt {
    pub(super) async fn told(&mut self) {
        if self.0.wait_for(|halted| *halted).await.is_err() {
            // Whoever could have said so is gone.
            pending::<()>().await;
        }
    }
}

/// Why a call need not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Nobody waits for its answer.
    Caller,
    /// Its tenant was suspended, or is being erased or restored.
    Tenant,
}

/// What a caller is told whose tenant is to be left alone.
pub(super) fn halted() -> Problem {
    Problem::new(Code::TenantSuspended, "The operator suspended this tenant while the call was under way.")
}

/// Whoever waits for the answer, until it is told.
pub(super) struct Caller<R> {
    waiting: Option<oneshot::Sender<R>>,
    pub(super) halt: Halt,
}

impl<R> Caller<R> {
    pub(super) fn new(answer: oneshot::Sender<R>, halt: Halt) -> Self {
        Self { waiting: Some(answer), halt }
    }

    pub(super) fn tell(&mut self, reply: R) {
        if let Some(waiting) = self.waiting.take() {
            // A caller who is gone by now needs no answer.
            let _ = waiting.send(reply);
        }
    }

    pub(super) async fn gone(&mut self) -> Gone {
        let Self { waiting, halt } = self;
        let caller = async {
            match waiting {
                Some(waiting) => waiting.closed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = caller => Gone::Caller,
            () = halt.told() => Gone::Tenant,
        }
    }

    /// The same where the call goes on without its caller.
    pub(super) async fn halted(&mut self) -> Gone {
        self.halt.told().await;
        Gone::Tenant
    }

    pub(super) fn is_gone(&self) -> bool {
        self.waiting.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}
