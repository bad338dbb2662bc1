//! [`App`]: the ports that use cases work with.

use crate::ReadLog;
use context::Authenticator;
use env::Env;
use ids::Slug;
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
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, platform, lifecycle, authenticator, env, regions, public_url } = parts;
        Self {
            store,
            platform,
            lifecycle,
            authenticator,
            env,
            regions,
            public_url,
            reads: ReadLog::default(),
        }
    }
}
