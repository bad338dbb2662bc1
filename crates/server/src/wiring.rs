//! Puts adapters behind ports.

use crate::config::{Config, Durability};
use crate::failures::Failures;
use crate::serve::{ServeArguments, ServeError};
use crate::{first_start, models, system, witnesses, work};
use app::vault::{Vault, VaultParts};
use app::{App, Parts, Scratch};
use bus_local::LocalBus;
use context::{Authenticator, IndexKey};
use egress::Egress;
use kms_file::{FileKms, MasterKey};
use limiter_local::LocalLimiter;
use std::sync::Arc;
use store_sqlite::{EmbeddedStore, Settings};
use worker::Scheduler;

/// What the server runs on.
pub(crate) struct Wired {
    pub(crate) app: Arc<App>,
    pub(crate) store: EmbeddedStore,
    pub(crate) failures: Arc<Failures>,
    pub(crate) limiter: Arc<LocalLimiter<EmbeddedStore>>,
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
    let data = &arguments.data;
    let present =
        first_start::master_key(data, arguments.master_key_file.as_ref(), arguments.production, &env)?;
    let kms = Arc::new(FileKms::new(env.clone(), present, previous(config)?));
    let settings = Settings {
        folder: data.clone(),
        regions: config.store.regions.clone(),
        durable: config.store.durability == Durability::Full,
    };
    let store = EmbeddedStore::open(settings, kms, env.clone()).await?;
    let index_key = Arc::new(IndexKey::new(store.index_key()?));
    first_start::operator_key(data, &store, &index_key, &env).await?;

    let operator_secrets_key = store.operator_secrets_key()?;
    // The store holds the folder for this process by now, so nobody else's files are on their way in it.
    let scratch = Scratch::open(data.join("scratch")).map_err(ServeError::Folder)?;
    let shared = Arc::new(store.clone());
    let failures = Arc::new(Failures::default());
    let authenticator = Arc::new(Authenticator::new(
        shared.clone(),
        shared.clone(),
        failures.clone(),
        index_key,
        public_url.clone(),
        env.clone(),
    ));
    let limiter = models::limiter(&shared, config, &env);
    let scheduler = Scheduler::new(worker::Settings::default(), env.clone());
    let egress = work::egress(config, &env)?;
    let vault = Arc::new(Vault::new(VaultParts {
        store: shared.clone(),
        authenticator: authenticator.clone(),
        egress: egress.clone(),
        limiter: limiter.clone(),
        policy: Arc::new(models::address_policy(config)?),
        env: env.clone(),
        // The store holds the folder for this process.
        alone: true,
    }));
    let bus = Arc::new(LocalBus::new(bus_local::Settings::default(), env.clone()));
    let witnesses = witnesses::witnesses(&config.witnesses)?;
    let gateway = models::gateway(&arguments.models, config, arguments.production, &env, vault.clone())?;
    let app = App::new(Parts {
        store: shared.clone(),
        platform: shared.clone(),
        lifecycle: shared,
        authenticator,
        env,
        regions: config.store.regions.clone(),
        public_url,
        operator_secrets_key,
        scratch,
        limiter: limiter.clone(),
        gateway,
        vault: vault.clone(),
        credentials: vault,
        dispatch: Arc::new(scheduler.clone()),
        bus,
        witnesses,
    });
    Ok(Wired { app: Arc::new(app), store, failures, limiter, scheduler, egress })
}

/// The master key before the present one, while keys are rotated.
fn previous(config: &Config) -> Result<Option<MasterKey>, ServeError> {
    let load = |path: &std::path::PathBuf| {
        MasterKey::load(path).map_err(|error| ServeError::MasterKey(path.clone(), error))
    };
    config.kms.previous_master_key_file.as_ref().map(load).transpose()
}
