//! [`Admission`]: what authentication returns, and the way into a tenant's visit.

use crate::tenant::Visit;
use crate::{Lease, Tenant};
use futures::future::BoxFuture;
use ids::TenantId;
use std::sync::Arc;

/// The right to enter one tenant as one principal. Owned and without a brand: it can be kept for the
/// length of a request and moved into a task, and does nothing but let one in.
#[derive(Clone)]
pub struct Admission(Arc<Visit>);

impl Admission {
    pub(crate) fn of(visit: Visit) -> Self {
        Self(Arc::new(visit))
    }

    /// The same right, as far as the lease goes: a store writes nothing of the visit once somebody else has the run.
    #[must_use]
    pub fn under(self, lease: Lease) -> Self {
        let mut visit = Arc::unwrap_or_clone(self.0);
        visit.lease = Some(lease);
        Self(Arc::new(visit))
    }

    /// Which tenant this lets into: for log lines and fair queues, never for a look-up.
    pub fn tenant_id(&self) -> TenantId {
        self.0.standing.id
    }

    /// Enters. The closure's `'t` is fresh, so nothing that carries it can leave the closure.
    pub async fn enter<R, F>(self, visit: F) -> R
    where
        F: for<'t> AsyncFnOnce(Tenant<'t>) -> R,
    {
        visit(Tenant::entered(self.0)).await
    }

    /// Enters with a boxed visit, for generic code that spawns visits: the future's `Send` is in its type.
    pub async fn enter_boxed<R, F>(self, visit: F) -> R
    where
        F: for<'t> FnOnce(Tenant<'t>) -> BoxFuture<'t, R> + Send,
    {
        visit(Tenant::entered(self.0)).await
    }
}
