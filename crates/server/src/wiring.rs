//! Puts adapters behind ports.

use crate::config::Config;
use crate::failures::Failures;
use crate::messages::{self, Messages};
use crate::serve::{ProcessArguments, ServeError};
use crate::stores::{Stores, Upkeep};
use crate::{first_start, limits, models, stores, system, witnesses, work};
use app::vault::{Vault, VaultParts};
use app::{App, Parts, Scratch};
use bus::Doorbell;
use context::{Authenticator, IndexKey};
use egress::Egress;
use env::Env;
use std::sync::Arc;
use worker::Scheduler;

/// What the server runs on.
pub(crate) struct Wired {
    pub(crate) app: Arc<App>,
    pub(crate) upkeep: Upkeep,
    pub(crate) failures: Arc<Failures>,
    pub(crate) scheduler: Scheduler,
    pub(crate) egress: Arc<dyn Egress>,
    pub(crate) bell: Arc<dyn Doorbell>,
}

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// To answer calls and to carry runs out. The first one makes the first operator's key.
    Server,
    /// To carry runs out.
    Worker,
    /// To attack the database.
    Attacker,
}

/// Opens the store and puts everything together. Where the configuration names no URL by which callers come, it is the
/// one that is listened on.
pub(crate) async fn wire(
    arguments: &ProcessArguments,
    config: &Config,
    listening: String,
    role: Role,
) -> Result<Wired, ServeError> {
    let public_url = config.public_url.clone().unwrap_or(listening).trim_end_matches('/').to_owned();
    let env = system::env();
    let stores = stores::open(arguments, config, &env).await?;
    put_together(stores, (arguments, config, role), public_url, env).await
}

/// Puts everything together on a store that is open.
pub(crate) async fn put_together(
    stores: Stores,
    (arguments, config, role): (&ProcessArguments, &Config, Role),
    public_url: String,
    env: Env,
) -> Result<Wired, ServeError> {
    let data = &arguments.data;
    let Stores { tenants, platform, lifecycle, index, audit, index_key, operator_secrets_key, upkeep } =
        stores;
    let limiter = limits::limiter(&tenants, config, &env).await?;
    let index_key = Arc::new(IndexKey::new(index_key));
    if role == Role::Server {
        first_start::operator_key(data, platform.as_ref(), &index_key, &env).await?;
    }

    // The embedded store holds the folder for this process by now, so nobody else's files are on their way in it.
    let scratch = Scratch::open(data.join("scratch")).map_err(ServeError::Folder)?;
    let failures = Arc::new(Failures::default());
    let authenticator = Arc::new(Authenticator::new(
        index,
        audit,
        failures.clone(),
        index_key,
        public_url.clone(),
        env.clone(),
    ));
    let scheduler = Scheduler::new(worker::Settings::default(), env.clone());
    let egress = work::egress(config, &env)?;
    let vault = Arc::new(Vault::new(VaultParts {
        store: tenants.clone(),
        authenticator: authenticator.clone(),
        egress: egress.clone(),
        limiter: limiter.clone(),
        policy: Arc::new(models::address_policy(config)?),
        env: env.clone(),
        alone: config.is_alone(),
    }));
    let Messages { bus, bell } = messages::messages(&config.messages, &env).await?;
    let witnesses = witnesses::witnesses(&config.witnesses)?;
    let gateway = models::gateway(&arguments.models, config, arguments.production, &env, vault.clone())?;
    let app = App::new(Parts {
        store: tenants,
        platform,
        lifecycle,
        authenticator,
        env,
        regions: config.store.regions.clone(),
        public_url,
        operator_secrets_key,
        scratch,
        limiter,
        gateway,
        vault: vault.clone(),
        credentials: vault,
        dispatch: Arc::new(scheduler.clone()),
        bus,
        witnesses,
    });
    Ok(Wired { app: Arc::new(app), upkeep, failures, scheduler, egress, bell })
}
