//! Puts adapters behind ports.

use crate::config::Config;
use crate::failures::Failures;
use crate::serve::{ServeArguments, ServeError};
use crate::stores::{Stores, Upkeep};
use crate::{first_start, limits, models, stores, system, witnesses, work};
use app::vault::{Vault, VaultParts};
use app::{App, Parts, Scratch};
use bus_local::LocalBus;
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
}

/// Opens the store and puts everything together.
pub(crate) async fn wire(
    arguments: &ServeArguments,
    config: &Config,
    public_url: String,
) -> Result<Wired, ServeError> {
    let env = system::env();
    let stores = stores::open(arguments, config, &env).await?;
    let index_key = IndexKey::new(stores.index_key.clone());
    first_start::operator_key(&arguments.data, stores.platform.as_ref(), &index_key, &env).await?;
    put_together(stores, (arguments, config), public_url, env).await
}

/// Puts everything together on a store that is open.
pub(crate) async fn put_together(
    stores: Stores,
    (arguments, config): (&ServeArguments, &Config),
    public_url: String,
    env: Env,
) -> Result<Wired, ServeError> {
    let data = &arguments.data;
    let Stores { tenants, platform, lifecycle, index, audit, index_key, operator_secrets_key, upkeep } =
        stores;
    let limiter = limits::limiter(&tenants, config, &env).await?;
    let index_key = Arc::new(IndexKey::new(index_key));
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
    let bus = Arc::new(LocalBus::new(bus_local::Settings::default(), env.clone()));
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
    Ok(Wired { app: Arc::new(app), upkeep, failures, scheduler, egress })
}
