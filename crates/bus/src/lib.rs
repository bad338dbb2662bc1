//! The port to messages: what a tenant's programs tell each other. What the server tells them is in the audit log, and
//! read from there by whoever listens.
//!
//! A subject stands within its tenant, so that no name leads to another's: the whole form that others see begins with
//! `tenant.<id>.`, and only an adapter puts it together. What a principal sends goes through sealed under the tenant's
//! key; what the server tells is a hint, which names things and carries none of them.
//!
//! Messages are told at most once to whoever listens, and kept for a short while, so that a listener who lost its
//! connection goes on where it was. Who has to know for certain reads the store.

mod doorbell;
mod message;
mod subject;

pub use doorbell::{Doorbell, Ear, Topic};
pub use message::{Body, Heard, Message, ParsePlaceError, Place};
pub use subject::{Family, MAX_LENGTH, Pattern, Subject, SubjectError};

use async_trait::async_trait;
use context::{Operator, Private, Tenant};
use errors::{Code, Problem};
use ids::TenantId;

/// Messages cannot be told or heard now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("messages cannot be told now")]
pub struct BusUnavailable;

impl From<BusUnavailable> for Problem {
    fn from(_: BusUnavailable) -> Self {
        Self::new(Code::Unavailable, "Messages cannot be told now. Try again.").retry_after(1)
    }
}

/// Carries messages within a tenant.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Tells a message to whoever listens in this tenant, and keeps it for a while.
    async fn publish(&self, tenant: &Tenant<'_>, message: Message) -> Result<(), BusUnavailable>;

    /// Listens to what is published in this tenant from now on, or from after a place that was heard before.
    async fn subscribe(
        &self,
        tenant: &Tenant<'_>,
        pattern: Pattern,
        after: Option<Place>,
    ) -> Result<Box<dyn Subscription>, BusUnavailable>;

    /// Forgets what is kept of a tenant that was restored from a backup or is being erased, and ends its
    /// subscriptions.
    async fn forget(&self, operator: &Operator, tenant: TenantId);
}

/// One listener.
#[async_trait]
pub trait Subscription: Send {
    /// What is heard next by the tenant whose visit this is, which must be the one that subscribed: what belongs to
    /// another is stopped at the door. `None` where there is nothing more to come.
    async fn next<'t>(&mut self, tenant: &Tenant<'t>) -> Option<Private<'t, Heard>>;
}
