//! The egress port over HTTP/1.1 and TLS.
//!
//! Every request has a connection of its own, to an address that was checked. Connections are not pooled:
//! one that was left over from a tenant's call could carry the rest of its answer, or a login that the
//! server tied to the connection, into another's. What a handshake costs is small beside that.

mod breaker;
mod bulkhead;
mod connect;
mod connection;
mod courier;
mod exchange;
mod redirect;
mod resolve;

pub use breaker::BreakerSettings;
pub use connect::TlsSetupError;
pub use egress::{Resolve, ResolveFailed};
pub use resolve::SystemResolver;
/// A root certificate in DER, for services whose certificates the operator signs.
pub use rustls::pki_types::CertificateDer;

use async_trait::async_trait;
use context::{Origin, Private, Tenant, door};
use courier::Courier;
use egress::{AddressPolicy, Egress, EgressError, OutboundRequest, OutboundResponse};
use env::Env;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What part of a call's time is spent on waiting for a place at the most. The rest has to do for the call.
const WAITING_PART: u32 = 4;
/// The longest that a call waits for a place, however long it may take.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Bounds of what leaves and comes back.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calls under way for all tenants. The system's resolver takes a thread for each while it looks up.
    pub calls: usize,
    /// Calls under way for one tenant.
    pub calls_per_tenant: usize,
    /// The longest that one call may ask to take, redirects included.
    pub max_timeout: Duration,
    /// The longest answer that one call may ask for, in bytes. With `calls` it bounds the memory for answers.
    pub max_response_bytes: usize,
    /// When a failing host is left alone.
    pub breaker: BreakerSettings,
    /// Root certificates beside those of the web.
    pub own_roots: Vec<CertificateDer<'static>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls: 256,
            calls_per_tenant: 16,
            max_timeout: Duration::from_secs(300),
            max_response_bytes: 8 << 20,
            breaker: BreakerSettings::default(),
            own_roots: Vec::new(),
        }
    }
}

/// Sends tenants' requests over HTTP/1.1.
pub struct HttpEgress {
    courier: Courier,
    env: Env,
}

impl HttpEgress {
    /// The way out under `policy`. Fails where one of the settings' own root certificates is none.
    pub fn new(
        policy: AddressPolicy,
        resolver: Arc<dyn Resolve>,
        settings: Settings,
        env: Env,
    ) -> Result<Self, TlsSetupError> {
        Ok(Self { courier: Courier::new(policy, resolver, settings)?, env })
    }

    /// How long the call may take: what it asks for, and no longer than its caller waits.
    fn time_left(&self, tenant: &Tenant<'_>, asked: Duration) -> Duration {
        let waits = tenant.deadline().map(|deadline| {
            let millis = deadline.millis().saturating_sub(self.env.now().millis());
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        });
        waits.map_or(asked, |waits| waits.min(asked))
    }
}

#[async_trait]
impl Egress for HttpEgress {
    async fn send<'t>(
        &self,
        tenant: &Tenant<'t>,
        request: Private<'t, OutboundRequest>,
    ) -> Result<Private<'t, OutboundResponse>, EgressError> {
        if tenant.standing().throwaway_until.is_some() {
            // A throwaway tenant of a grant to run the attack suite has no way out: for it, no name resolves.
            return Err(EgressError::Resolve);
        }
        // The door stands before the resolver: to ask for a name's address already tells someone the name.
        let request = door::tool(tenant, request)?;
        let (time_left, begun) = (self.time_left(tenant, request.timeout), Instant::now());
        let patience = (time_left / WAITING_PART).min(LONGEST_WAIT);
        let place = self.courier.enter(tenant.id(), patience).await?;
        let time_left = time_left.saturating_sub(begun.elapsed());
        let response = self.courier.deliver(tenant.id(), place, request, time_left).await?;
        // The connection was made for this call of this visit and has ended: nobody else's answer can have
        // come over it, so what came is this tenant's.
        Ok(Private::arrived(tenant, Origin::authenticated(tenant.id()), response))
    }
}

#[cfg(test)]
mod tests;
