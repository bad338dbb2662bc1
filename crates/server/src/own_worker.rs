//! `tenantry worker --tenant`: the worker that one tenant has for itself. It has what its credential gives it, which opens
//! nothing of anybody else's, and refuses to start where it can see more.

pub(crate) mod commands;
mod credential;
pub(crate) mod launcher;
mod pipe;

use crate::config::Config;
use crate::failures::Failures;
use crate::models::{self, ModelArguments, address_policy};
use crate::serve::ServeError;
use crate::work::egress;
use crate::{logging, system};
use app::gateway::Models;
use app::vault::{Vault, VaultParts};
use app::witnesses::Witnesses;
use app::{App, Parts, Scratch};
use bus_local::LocalBus;
use clap::Args;
use context::{Authenticator, IndexKey};
use credential::Credential;
use ids::TenantId;
use own_worker::{AskedOfServer, CountedByServer, GivingBack, Server, Standing, UnfitServer};
use pipe::Pipe;
use secret::SecretBytes;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store_postgres::{PostgresStore, SetupError};
use tokio::signal::unix::{SignalKind, signal};
use worker::{Scheduler, Worker};

/// How often it is looked whether the keys still hold.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a stop waits for token endpoints: a token that is given to nobody costs a person's work.
const LAST_REFRESHES: Duration = Duration::from_secs(30);

/// How the worker of one tenant is started.
#[derive(Args)]
pub(crate) struct OwnArguments {
    /// Carry out the runs of this tenant alone, as its own worker: with a credential that opens nothing else.
    #[arg(long, value_name = "TENANT", requires = "credential_file")]
    pub(crate) tenant: Option<TenantId>,
    /// The file that `tenantry workers grant` made, readable for its owner only; `-` reads it from a pipe, and ends with
    /// that.
    #[arg(long, value_name = "FILE", requires = "tenant")]
    pub(crate) credential_file: Option<PathBuf>,
}

/// Why a tenant's own worker did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnWorkerError {
    #[error(
        "a tenant's own worker is not to have {0}: whoever takes it over is to get at that tenant's data and nobody else's"
    )]
    Holds(&'static str),
    #[error("the credential {0} cannot be used: {1}")]
    Credential(String, &'static str),
    #[error("the credential cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("the credential is another tenant's")]
    AnotherTenants,
    #[error(transparent)]
    Server(#[from] UnfitServer),
    #[error(transparent)]
    Database(#[from] SetupError),
    #[error(
        "the servers take this worker's token no more: it was withdrawn or has ended, or its tenant is not there"
    )]
    Dismissed,
    #[error("the tenant's keys were changed: this worker needs a new credential")]
    KeysChanged,
}

/// Refuses a configuration that shows more than a tenant's own worker may see.
fn check(config: &Config, master_key: Option<&Path>) -> Result<(), OwnWorkerError> {
    let held = [
        (master_key.is_some(), "the master key"),
        (config.kms.previous_master_key_file.is_some(), "the master key"),
        (config.store.admin_url.is_some(), "the administrator's address, `[store] admin_url`"),
        (config.store.url.is_some(), "the address of all tenants' database, `[store] url`"),
        (
            config.limits.redis_url.is_some(),
            "the address where all tenants are counted, `[limits] redis_url`",
        ),
        (config.messages.nats_url.is_some(), "the address of all tenants' messages, `[messages] nats_url`"),
    ];
    held.into_iter().find(|(held, _)| *held).map_or(Ok(()), |(_, what)| Err(OwnWorkerError::Holds(what)))
}

/// What it works with.
struct Own {
    app: Arc<App>,
    store: PostgresStore,
    scheduler: Scheduler,
    standing: Standing,
    giving_back: GivingBack,
    worker: Worker,
}

/// Carries one tenant's runs out, until it is told to stop or may no more.
pub(crate) async fn run(
    (tenant, file): (TenantId, &Path),
    (config, master_key): (Config, Option<&Path>),
    as_json: bool,
) -> Result<(), ServeError> {
    check(&config, master_key)?;
    let mut pipe =
        if file == Path::new("-") { Some(Pipe::of_stdin().map_err(OwnWorkerError::from)?) } else { None };
    let credential = match &mut pipe {
        Some(pipe) => {
            let line = pipe.line().await.map_err(OwnWorkerError::from)?;
            Credential::parse("of the pipe", line.expose())?
        }
        None => Credential::load(file)?,
    };
    if credential.home.tenant() != tenant {
        return Err(OwnWorkerError::AnotherTenants.into());
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let Own { app, store, scheduler, standing, giving_back, worker } = start(config, credential).await?;
    let first = if as_json { json!({"working": true}).to_string() } else { "working".to_owned() };
    logging::announce(&first).map_err(ServeError::Log)?;
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = Pipe::closed(pipe.as_mut()) => {}
        }
    };
    let outcome = tokio::select! {
        () = told => Ok(()),
        () = standing.dismissed() => Err(OwnWorkerError::Dismissed),
        () = keys_change(&store) => Err(OwnWorkerError::KeysChanged),
        () = standing.keep_asking() => Ok(()),
        () = giving_back.carry_on() => Ok(()),
    };
    if let Err(error) = outcome {
        // What is under way is not waited for: its leases end by themselves, and what it writes is refused.
        return Err(error.into());
    }
    tracing::info!("draining");
    // Steps under way still ask where the tenant stands.
    tokio::select! {
        () = worker.drain() => {}
        () = standing.keep_asking() => {}
    }
    drop(scheduler);
    if tokio::time::timeout(LAST_REFRESHES, app.vault.drained()).await.is_err() {
        tracing::warn!("some credentials were still being refreshed");
    }
    Ok(())
}

/// Ready when the tenant's content is sealed under another key than this process was given.
async fn keys_change(store: &PostgresStore) {
    while store.keys_hold() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Puts together what carries runs out, on one tenant's home and on what servers say.
async fn start(mut config: Config, credential: Credential) -> Result<Own, ServeError> {
    let env = system::env();
    let Credential { servers, token, home, allow, tls, .. } = credential;
    if config.egress.allow.is_empty() {
        config.egress.allow = allow;
    }
    if config.store.tls.authorities_file.is_none() {
        config.store.tls = tls;
    }
    let tenant = home.tenant();
    let server = Server::new(&servers, &token).map_err(OwnWorkerError::from)?;
    let standing = Standing::new(tenant, server.clone());
    standing.look().await;
    let tls = crate::stores::tls(&config.store.tls)?;
    let store = PostgresStore::open_own(home, &tls, env.clone()).await?;
    let shared = Arc::new(store.clone());
    let (limiter, giving_back) = CountedByServer::new(tenant, server.clone());
    let limiter = Arc::new(limiter);
    let random = || SecretBytes::fill_with(|bytes| env.fill(bytes));
    // Nobody comes in by a credential here, so that the index's key opens nothing.
    let authenticator = Arc::new(Authenticator::new(
        Arc::new(standing.clone()),
        shared.clone(),
        Arc::new(Failures::default()),
        Arc::new(IndexKey::new(random())),
        String::new(),
        env.clone(),
    ));
    let scheduler = Scheduler::new(worker::Settings::default(), env.clone());
    let egress = egress(&config, &env)?;
    let vault = Arc::new(Vault::new(VaultParts {
        store: shared.clone(),
        authenticator: authenticator.clone(),
        egress: egress.clone(),
        limiter: limiter.clone(),
        policy: Arc::new(address_policy(&config)?),
        env: env.clone(),
        alone: false,
    }));
    let gateway = models::gateway(&ModelArguments::default(), &config, true, &env, vault.clone())?;
    let app = Arc::new(App::new(Parts {
        store: shared.clone(),
        platform: shared.clone(),
        lifecycle: shared,
        authenticator,
        regions: config.store.regions.clone(),
        public_url: String::new(),
        operator_secrets_key: random(),
        scratch: Scratch::none(),
        limiter,
        gateway,
        vault: vault.clone(),
        credentials: vault,
        dispatch: Arc::new(scheduler.clone()),
        bus: Arc::new(LocalBus::new(bus_local::Settings::default(), env.clone())),
        witnesses: Witnesses::new(Vec::new()),
        env,
    }));
    let outside = (egress, Arc::new(AskedOfServer(server)) as Arc<dyn Models>);
    let worker = Worker::start(app.clone(), scheduler.clone(), outside, worker::Settings::default());
    Ok(Own { app, store, scheduler, standing, giving_back, worker })
}
