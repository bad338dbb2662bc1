//! [`App`]: the ports that use cases work with.

use crate::definitions::Definitions;
use crate::dispatch::Dispatch;
use crate::gateway::Gateway;
use crate::vault::Vault;
use crate::verify_grants::GrantPace;
use crate::witnesses::Witnesses;
use crate::{Credentials, OperatorSecrets, ReadLog, Scratch};
use bus::Bus;
use context::{Authenticator, Operator};
use env::Env;
use ids::{Slug, TenantId};
use limiter::Limiter;
use secret::SecretBytes;
use std::sync::Arc;
use store::{PlatformStore, TenantLifecycle, TenantStore};

/// What an [`App`] is put together from, by `server` and by tests.
pub struct Parts {
    /// Tenants' stores.
    pub store: Arc<dyn TenantStore>,
    /// The platform store.
    pub platform: Arc<dyn PlatformStore>,
    /// Backup, restore and erasure.
    pub lifecycle: Arc<dyn TenantLifecycle>,
    /// Who may come in.
    pub authenticator: Arc<Authenticator>,
    /// Clock and randomness.
    pub env: Env,
    /// The regions that this deployment has; the first is the default.
    pub regions: Vec<Slug>,
    /// The server's public URL, without a slash at its end.
    pub public_url: String,
    /// The key under which the operator's own secrets are sealed.
    pub operator_secrets_key: SecretBytes<32>,
    /// The folder for backups on their way.
    pub scratch: Scratch,
    /// How often, how many at once and for how much tenants may call.
    pub limiter: Arc<dyn Limiter>,
    /// Tenants' way to models.
    pub gateway: Gateway,
    /// Tenants' credentials, as they are stored and renewed.
    pub vault: Arc<Vault>,
    /// Tenants' credentials, to be used.
    pub credentials: Arc<dyn Credentials>,
    /// What carries runs out.
    pub dispatch: Arc<dyn Dispatch>,
    /// Carries messages within a tenant.
    pub bus: Arc<dyn Bus>,
    /// Who watches the operators' log.
    pub witnesses: Witnesses,
}

/// The ports that use cases work with.
pub struct App {
    /// Tenants' stores.
    pub store: Arc<dyn TenantStore>,
    /// The platform store.
    pub platform: Arc<dyn PlatformStore>,
    /// Backup, restore and erasure.
    pub lifecycle: Arc<dyn TenantLifecycle>,
    /// Who may come in.
    pub authenticator: Arc<Authenticator>,
    /// Clock and randomness.
    pub env: Env,
    /// The regions that this deployment has; the first is the default.
    pub regions: Vec<Slug>,
    /// The server's public URL, without a slash at its end.
    pub public_url: String,
    /// Reads that wait to be written down.
    pub reads: ReadLog,
    /// Seals and opens the operator's own secrets.
    pub operator_secrets: OperatorSecrets,
    /// The folder for backups on their way.
    pub scratch: Scratch,
    /// How often, how many at once and for how much tenants may call.
    pub limiter: Arc<dyn Limiter>,
    /// Tenants' way to models.
    pub gateway: Gateway,
    /// Tenants' credentials, as they are stored and renewed.
    pub vault: Arc<Vault>,
    /// Tenants' credentials, to be used.
    pub credentials: Arc<dyn Credentials>,
    /// What carries runs out.
    pub dispatch: Arc<dyn Dispatch>,
    /// Carries messages within a tenant.
    pub bus: Arc<dyn Bus>,
    /// Who watches the operators' log.
    pub witnesses: Witnesses,
    /// How fast grants make throwaway tenants.
    pub grant_pace: GrantPace,
    /// Definitions of workflows as they were read.
    pub definitions: Definitions,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, platform, lifecycle, authenticator, env, regions, public_url, .. } = parts;
        let definitions = Definitions::new(env.clone());
        let operator_secrets = OperatorSecrets::new(&parts.operator_secrets_key, env.clone());
        Self {
            store,
            platform,
            lifecycle,
            authenticator,
            env,
            regions,
            public_url,
            reads: ReadLog::default(),
            operator_secrets,
            scratch: parts.scratch,
            limiter: parts.limiter,
            gateway: parts.gateway,
            vault: parts.vault,
            credentials: parts.credentials,
            dispatch: parts.dispatch,
            bus: parts.bus,
            witnesses: parts.witnesses,
            grant_pace: GrantPace::default(),
            definitions,
        }
    }

    /// Ends the model calls under way of a tenant that is suspended, erased or restored, and forgets what is
    /// kept of it in memory.
    pub(crate) async fn halt(&self, operator: &Operator, tenant: TenantId) {
        let ended = self.gateway.halt(operator, tenant).await;
        self.definitions.forget(tenant);
        self.bus.forget(operator, tenant).await;
        if ended {
            self.limiter.forget(operator, tenant).await;
        } else {
            // What they hold must not be forgotten before they have ended.
            tracing::warn!(tenant.id = %tenant, "some model calls did not end in time; their leases will");
        }
    }
}
