//! The gateway: tenants' calls to models.
//!
//! A call is resolved to an endpoint that its tenant may use ([`resolve`]), priced and admitted with its
//! worst case ([`reserve`]), carried out in a visit of its own ([`chat`]) and settled at what it cost
//! ([`settle`]). A call whose outcome a crash left unknown is charged when its lease ends ([`lease`]).

mod cache;
mod chat;
mod complete;
mod lease;
mod models;
mod reserve;
mod resolve;
mod settle;
mod start;
mod stream;

pub use cache::CacheSettings;
pub use chat::{ChatInput, Refused, Reply, StreamEvent, chat};
pub use complete::{Attribution, Completed, complete};
pub use lease::expire_leases;
pub use models::{ModelView, model, models};

use async_trait::async_trait;
use cache::ResponseCache;
use context::Tenant;
use egress::AddressPolicy;
use env::Timestamp;
use errors::Problem;
use ids::Slug;
use metering::prices::PriceTable;
use model::{EndpointUrl, ModelEndpoint};
use secret::SecretText;
use std::sync::Arc;
use std::time::Duration;
use store::Endpoint;
use tokio::sync::Semaphore;

/// The keys that tenants bring for providers, from the vault.
#[async_trait]
pub trait UpstreamKeys: Send + Sync {
    /// The tenant's own key for a service, if it has stored one that may go where the endpoint is.
    async fn key(
        &self,
        tenant: &Tenant<'_>,
        service: &Slug,
        endpoint: &EndpointUrl,
    ) -> Result<Option<SecretText>, Problem>;
}

/// No tenant brings a key.
pub struct NoUpstreamKeys;

#[async_trait]
impl UpstreamKeys for NoUpstreamKeys {
    async fn key(&self, _: &Tenant<'_>, _: &Slug, _: &EndpointUrl) -> Result<Option<SecretText>, Problem> {
        Ok(None)
    }
}

/// An endpoint that the command line names, for a start without an operator's call.
pub struct StartEndpoint {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its key.
    pub key: Option<SecretText>,
}

/// What a [`Gateway`] is put together from.
pub struct GatewayParts {
    /// Models behind URLs.
    pub http: Arc<dyn ModelEndpoint>,
    /// The built-in model, where the server has it.
    pub offline: Option<Arc<dyn ModelEndpoint>>,
    /// Which addresses a request may have a provider fetch.
    pub policy: Arc<AddressPolicy>,
    /// What models cost where the operator does not say.
    pub prices: PriceTable,
    /// The keys that tenants bring.
    pub tenant_keys: Arc<dyn UpstreamKeys>,
    /// The endpoint that the command line names.
    pub start_endpoint: Option<StartEndpoint>,
    /// How long a call may take as a whole. Its lease is a little longer.
    pub call_time: Duration,
    /// Bounds of the response cache.
    pub cache: CacheSettings,
}

/// Calls that may be on their way or being settled, so that a stop can wait for them.
const MAX_VISITS: u32 = 1 << 20;

/// Tenants' way to models.
pub struct Gateway {
    http: Arc<dyn ModelEndpoint>,
    offline: Option<Arc<dyn ModelEndpoint>>,
    policy: Arc<AddressPolicy>,
    prices: PriceTable,
    tenant_keys: Arc<dyn UpstreamKeys>,
    start_endpoint: Option<StartEndpoint>,
    call_time: Duration,
    cache: ResponseCache,
    visits: Arc<Semaphore>,
}

impl Gateway {
    /// Puts the parts together.
    pub fn new(parts: GatewayParts) -> Self {
        let GatewayParts { http, offline, policy, prices, tenant_keys, start_endpoint, call_time, cache } =
            parts;
        Self {
            http,
            offline,
            policy,
            prices,
            tenant_keys,
            start_endpoint,
            call_time,
            cache: ResponseCache::new(cache),
            visits: Arc::new(Semaphore::new(MAX_VISITS as usize)),
        }
    }

    /// Waits until every call under way has ended and is written down.
    pub async fn drained(&self) {
        drop(self.visits.acquire_many(MAX_VISITS).await);
    }

    /// Drops kept answers that are too old by now.
    pub fn sweep(&self, now: Timestamp) {
        self.cache.sweep(now);
    }

    /// Forgets the answers kept for the tenant, which is suspended or being erased.
    pub fn forget(&self, tenant: &Tenant<'_>) {
        self.cache.forget(tenant);
    }
}
