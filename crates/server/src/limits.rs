//! Where it is counted how often, how many at once and for how much tenants call: in this process, or in Redis with all
//! other servers.

use crate::config::Config;
use crate::stores;
use env::Env;
use limiter::{Limiter, LimiterUnavailable};
use limiter_local::LocalLimiter;
use limiter_redis::{Address, Memory, RedisLimiter, UnfitAddress};
use std::sync::Arc;
use std::time::Duration;
use store::TenantStore;

/// How long Redis may take to show its certificate when the server starts.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Why limits cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitsError {
    #[error("`[limits] redis_url` is for several servers on one database; it needs `[store] url`")]
    NothingShared,
    #[error("`[limits] redis_url` cannot be used: {0}")]
    Address(#[from] UnfitAddress),
    #[error("`[limits.tls]` cannot be used: {0}")]
    Tls(#[from] store_postgres::SetupError),
    #[error(transparent)]
    Unavailable(#[from] LimiterUnavailable),
    #[error(
        "Redis drops keys when its memory is full (`maxmemory-policy {0}`), and limits with them: set `noeviction`"
    )]
    Evicts(String),
}

/// The limits, restored from this store.
pub(crate) async fn limiter(
    store: &Arc<dyn TenantStore>,
    config: &Config,
    env: &Env,
) -> Result<Arc<dyn Limiter>, LimitsError> {
    match &config.limits.redis_url {
        None => Ok(Arc::new(local(store, config, env))),
        Some(_) if config.store.url.is_none() => Err(LimitsError::NothingShared),
        Some(url) => {
            let address = Address::parse(url.expose(), &stores::tls(&config.limits.tls)?)?;
            Ok(Arc::new(shared(store, config, env, &address).await?))
        }
    }
}

fn local(store: &Arc<dyn TenantStore>, config: &Config, env: &Env) -> LocalLimiter<dyn TenantStore> {
    let mut settings = limiter_local::Settings::default();
    if let Some(calls) = config.limits.parallel_model_calls {
        settings.parallel_model_calls = calls;
    }
    LocalLimiter::new(Arc::clone(store), env.clone(), settings)
}

async fn shared(
    store: &Arc<dyn TenantStore>,
    config: &Config,
    env: &Env,
    address: &Address,
) -> Result<RedisLimiter<dyn TenantStore>, LimitsError> {
    let mut settings = limiter_redis::Settings::default();
    if let Some(calls) = config.limits.parallel_model_calls {
        settings.parallel_model_calls = calls;
    }
    if let Some(servers) = config.limits.servers {
        settings.servers = servers;
    }
    // A certificate that is not right does not become so by waiting.
    address.verify(settings.command.max(HANDSHAKE)).await?;
    let limiter = RedisLimiter::new(Arc::clone(store), env.clone(), address, settings)?;
    match limiter.memory().await {
        Ok(Memory::KeepsAll) => {}
        Ok(Memory::Drops(policy)) => return Err(LimitsError::Evicts(policy)),
        // It may come yet. Until then nothing that is limited is admitted.
        Err(error) => tracing::error!(%error, "Redis does not answer, so that nothing is admitted"),
    }
    Ok(limiter)
}
