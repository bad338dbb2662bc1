//! The gateway: tenants' calls to models.
//!
//! A call is resolved to an endpoint that its tenant may use ([`resolve`]), priced and admitted with its
//! worst case ([`reserve`]), carried out in a visit of its own ([`chat`]) and settled at what it cost
//! ([`settle`]). A call whose outcome a crash left unknown is charged when its lease ends ([`lease`]).

mod cache;
mod chat;
mod complete;
mod fetched;
mod lease;
mod models;
mod reserve;
mod resolve;
mod settle;
mod start;
mod stream;
mod visits;

pub use cache::CacheSettings;
pub use chat::{ChatInput, Refused, Reply, StreamEvent, chat};
pub use complete::{Attribution, Completed, Models, Question, complete};
pub use lease::expire_leases;
pub use models::{ModelView, model, models};
pub use start::FailedCall;

use async_trait::async_trait;
use cache::ResponseCache;
use context::{Operator, Tenant};
use egress::{AddressPolicy, Resolve};
use env::Timestamp;
use errors::Problem;
use ids::{Slug, TenantId};
use metering::prices::PriceTable;
use model::{EndpointUrl, ModelEndpoint};
use resolve::Usable;
use secret::SecretText;
use std::sync::Arc;
use std::time::Duration;
use store::Endpoint;
use visits::Visits;

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
    /// How the names in such requests become addresses.
    pub resolver: Arc<dyn Resolve>,
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

/// How long calls that are ended for their tenant's sake may take to be written down.
const HALT_PATIENCE: Duration = Duration::from_secs(10);

/// Tenants' way to models.
pub struct Gateway {
    http: Arc<dyn ModelEndpoint>,
    /// What the command line names and what is built in, after the operator's rows.
    given: Vec<Usable>,
    policy: Arc<AddressPolicy>,
    resolver: Arc<dyn Resolve>,
    prices: PriceTable,
    tenant_keys: Arc<dyn UpstreamKeys>,
    call_time: Duration,
    cache: ResponseCache,
    visits: Visits,
}

impl Gateway {
    /// Puts the parts together.
    pub fn new(parts: GatewayParts) -> Result<Self, Problem> {
        let GatewayParts { http, offline, policy, resolver, prices, tenant_keys, .. } = parts;
        let GatewayParts { start_endpoint, call_time, cache, .. } = parts;
        let built_in = offline.map(Usable::built_in).transpose()?;
        let given = start_endpoint.map(Usable::at_start).into_iter().chain(built_in).collect();
        Ok(Self {
            http,
            given,
            policy,
            resolver,
            prices,
            tenant_keys,
            call_time,
            cache: ResponseCache::new(cache),
            visits: Visits::new(),
        })
    }

    /// Waits until every call under way has ended and is written down.
    pub async fn drained(&self) {
        self.visits.drained().await;
    }

    /// Drops kept answers that are too old by now.
    pub fn sweep(&self, now: Timestamp) {
        self.cache.sweep(now);
    }

    /// Ends the calls under way of a tenant that is suspended, erased or restored, each charged its prompt
    /// and what was emitted, and forgets the answers kept for it. Whether all had ended in time.
    pub async fn halt(&self, _: &Operator, tenant: TenantId) -> bool {
        let in_time = self.visits.halt(tenant, HALT_PATIENCE).await;
        self.cache.forget(tenant);
        in_time
    }
}
