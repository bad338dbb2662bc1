//! [`Dispatch`]: the port to whatever carries runs out. Use cases put durable runs into its queue and give
//! it orders; the adapter is the crate `worker`.

use async_trait::async_trait;
use audit::event::Draft;
use context::Tenant;
use errors::Problem;
use ids::{RunId, TenantId};
use store::{IdempotencyClaim, RunStatus};
use tokio::sync::watch;
use workflow::NodeName;

/// Queues runs and has each carried out by one driver.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Takes a place in the queue for a run that is about to be made durable. Where the tenant's queue or
    /// all queues together are full, the problem is `concurrency_limited`.
    fn reserve(&self, tenant: &Tenant<'_>) -> Result<Place, Problem>;

    /// Puts a durable run into its place.
    fn enqueue(&self, tenant: &Tenant<'_>, place: Place, run: RunId);

    /// How many of the tenant's runs are being carried out.
    fn under_way(&self, tenant: &Tenant<'_>) -> u64;

    /// Has the run's driver do this; gives back where the run stands once that is durable. The caller has
    /// made sure that its principal may order it.
    async fn order(&self, tenant: &Tenant<'_>, run: RunId, order: Order) -> Result<RunStatus, Problem>;

    /// Rings whenever something of the run has become durable. It says nothing else.
    fn bell(&self, tenant: &Tenant<'_>, run: RunId) -> watch::Receiver<u64>;

    /// Parks the tenant's runs: no further step is begun, and none of its runs is admitted.
    fn suspend(&self, tenant: TenantId);

    /// Lets the tenant's runs go on.
    fn resume(&self, tenant: TenantId);

    /// Ends all work for a tenant that is being erased or restored, and forgets it. When this is back, no
    /// step of its runs is under way.
    async fn forget(&self, tenant: TenantId);

    /// Takes in what the tenant's store says is under way, after it was restored.
    fn recover(&self, tenant: TenantId);
}

/// What the driver of a run is told to do.
pub struct Order {
    /// What.
    pub kind: OrderKind,
    /// The event that tells whose order it was; it shares the commit with what the order changes.
    pub event: Draft,
    /// The caller's idempotency key.
    pub claim: Option<IdempotencyClaim>,
}

/// What a run can be ordered to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// To end.
    Cancel,
    /// To go on after it was over: from this step, or from whatever failed.
    Retry {
        /// Where from.
        from: Option<NodeName>,
    },
}

/// A place in the queue that was taken for a run. Dropping it gives it back.
pub struct Place(Option<Box<dyn FnOnce() + Send>>);

impl Place {
    /// A place that is given back so.
    pub fn new(give_back: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(give_back)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(give_back) = self.0.take() {
            give_back();
        }
    }
}
