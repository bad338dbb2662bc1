//! The vault: tenants' credentials for outside services.
//!
//! A credential is sealed under its tenant's key for exactly its place ([`seal`]), names the hosts that it
//! may go to, and leaves only as what a use needs ([`attach`]): a header field bound to those hosts, the key
//! of a model call, or a webhook secret to compare with. OAuth access tokens are renewed before they end
//! ([`refresh`]), one refresh at a time ([`flight`]).

mod accept;
mod attach;
mod contents;
mod credentials;
mod flight;
mod header;
mod input;
mod metered;
mod oauth;
mod refresh;
mod seal;

pub use credentials::{CredentialView, Stored};
pub use input::NewCredential;

use context::Authenticator;
use egress::{AddressPolicy, Egress};
use env::Env;
use flight::Flights;
use limiter::Limiter;
use refresh::Refresher;
use std::sync::Arc;
use store::TenantStore;

/// What a [`Vault`] is put together from.
pub struct VaultParts {
    /// Tenants' stores.
    pub store: Arc<dyn TenantStore>,
    /// Lets the refreshes in.
    pub authenticator: Arc<Authenticator>,
    /// The way to token endpoints.
    pub egress: Arc<dyn Egress>,
    /// How often tenants may call outside services, of which token endpoints are some.
    pub limiter: Arc<dyn Limiter>,
    /// Where a token endpoint may be spoken to without TLS.
    pub policy: Arc<AddressPolicy>,
    /// Clock and randomness.
    pub env: Env,
    /// Whether no other server works on the same stores. Then a refresh without an outcome that is not under
    /// way here has been cut short by a crash.
    pub alone: bool,
}

/// Tenants' credentials, to be used.
pub struct Vault {
    refresher: Arc<Refresher>,
    flights: Arc<Flights>,
}

impl Vault {
    /// Puts the parts together.
    pub fn new(parts: VaultParts) -> Self {
        let VaultParts { store, authenticator, egress, limiter, policy, env, alone } = parts;
        let refresher = Refresher { store, authenticator, egress, limiter, policy, env, alone };
        Self { refresher: Arc::new(refresher), flights: Arc::default() }
    }

    /// Waits until every refresh under way has ended and is written down.
    pub async fn drained(&self) {
        self.flights.landed().await;
    }
}
