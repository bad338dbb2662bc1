//! The port to the outside. Every URL that a tenant can influence goes through it.
//!
//! This crate holds the decisions, which are pure: what a [`Destination`] is, which addresses the
//! [`AddressPolicy`] permits, which [`Headers`] may be sent and where an [`AttachedCredential`] may go. An
//! adapter resolves a name once, asks the policy about every address, and connects to one of those.

mod credential;
mod destination;
mod error;
mod headers;
mod host;
mod host_port;
mod policy;
mod ranges;
mod request;
mod resolve;

pub use credential::AttachedCredential;
pub use destination::{Destination, DestinationError, MAX_URL_BYTES, Scheme};
pub use error::EgressError;
pub use headers::{HeaderError, Headers};
pub use host::{Host, HostError};
pub use host_port::{HostPattern, HostPort, HostPortError};
pub use policy::{AddressPolicy, Denied};
pub use ranges::Closed;
pub use request::{Method, MethodError, OutboundRequest, OutboundResponse};
pub use resolve::{Resolve, ResolveFailed};

use async_trait::async_trait;
use context::{Private, Tenant};

/// Sends a tenant's requests to outside services.
#[async_trait]
pub trait Egress: Send + Sync {
    /// Sends one request and returns the whole answer, whatever its status. Dropping the future ends the
    /// connection.
    async fn send<'t>(
        &self,
        tenant: &Tenant<'t>,
        request: Private<'t, OutboundRequest>,
    ) -> Result<Private<'t, OutboundResponse>, EgressError>;
}
