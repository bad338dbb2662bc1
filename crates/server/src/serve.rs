//! `tenantry serve`: opens, listens, keeps house, drains.

use crate::background::Background;
use crate::config::{Config, ConfigError};
use crate::limits::LimitsError;
use crate::models::{ModelArguments, ModelsError};
use crate::own_worker::{self, OwnArguments, OwnWorkerError};
use crate::wiring::{Role, Wired, wire};
use crate::{logging, work};
use bus::Topic;
use clap::Args;
use http_api::{Api, Bounds};
use ids::Slug;
use kms_file::MasterKeyError;
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use store::StoreError;
use store_postgres::SetupError;
use store_sqlite::OpenError;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use worker::Worker;

/// How the server is started.
#[derive(Args)]
pub(crate) struct ServeArguments {
    /// Where to listen; port 0 picks one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// What a worker has as well.
    #[command(flatten)]
    process: ProcessArguments,
}

/// How a process that carries runs out is started.
#[derive(Args)]
pub(crate) struct ProcessArguments {
    /// The data folder; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The configuration file, TOML.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The file of the master key: 64 hexadecimal characters, readable for its owner only.
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// The model that can be called without an operator's call of `PUT /v1/endpoints`.
    #[command(flatten)]
    pub(crate) models: ModelArguments,
    /// Refuse what is fit for development alone.
    #[arg(long)]
    pub(crate) production: bool,
    /// Print the first line, and the log, as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the log into this file, as JSON lines, instead of to standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// What to log, such as `info` or `debug,hyper=warn`.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
    /// The pool whose runs a worker carries out. A server has none.
    #[arg(skip)]
    pub(crate) pool: Option<Slug>,
}

/// How a worker is started: one for all tenants, or one for a tenant alone.
#[derive(Args)]
pub(crate) struct WorkerArguments {
    #[command(flatten)]
    own: OwnArguments,
    /// Carry out runs of tenants whose plan names this pool, and no others.
    #[arg(long, value_name = "NAME", conflicts_with = "tenant")]
    pool: Option<Slug>,
    /// The data folder; made if it is not there. A tenant's own worker has none.
    #[arg(long, value_name = "DIR", required_unless_present = "tenant", conflicts_with = "tenant")]
    data: Option<PathBuf>,
    /// The configuration file, TOML.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file of the master key: 64 hexadecimal characters, readable for its owner only.
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// The model that can be called without an operator's call of `PUT /v1/endpoints`.
    #[command(flatten)]
    models: ModelArguments,
    /// Refuse what is fit for development alone.
    #[arg(long)]
    production: bool,
    /// Print the first line, and the log, as JSON.
    #[arg(long)]
    json: bool,
    /// Write the log into this file, as JSON lines, instead of to standard error.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// What to log, such as `info` or `debug,hyper=warn`.
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the log cannot be written: {0}")]
    Log(io::Error),
    #[error("the data folder cannot be used: {0}")]
    Folder(io::Error),
    #[error("the master key file {0} cannot be used: {1}")]
    MasterKey(PathBuf, MasterKeyError),
    #[error("--production needs --master-key-file: a development key beside the data protects nothing")]
    DevelopmentKeyInProduction,
    #[error(
        "the data folder has a platform store and its master key {0} is gone; name the key with --master-key-file. Nothing was changed"
    )]
    MasterKeyGone(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Database(#[from] SetupError),
    #[error(
        "`[store] admin_url` is for `tenantry store init`; give the server a configuration without it: whoever takes the server over is not to make roles and tables"
    )]
    AdminUrl,
    #[error(
        "a store that several servers share needs --master-key-file: all of them are given the same key, and none makes one"
    )]
    SharedStoreNeedsKey,
    #[error(
        "a worker beside servers needs a store and limits that they share, `[store] url` and `[limits] redis_url`; the embedded store runs its worker inside `tenantry serve`"
    )]
    NothingShared,
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
    #[error("this process could not be protected: {0}")]
    Protect(#[from] hardening::ProtectionError),
    #[error(transparent)]
    Limits(#[from] LimitsError),
    #[error(transparent)]
    Models(#[from] ModelsError),
    #[error("the witness {0} cannot be asked: {1}")]
    Witness(String, String),
    #[error("`[messages]`: {0}")]
    Messages(#[from] bus_nats::SetupError),
    #[error("outside services cannot be called: {0}")]
    Egress(egress_http::TlsSetupError),
    #[error(transparent)]
    OwnWorker(#[from] OwnWorkerError),
}

/// How long calls whose callers are gone may take to be written down at the end.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// How long a stop waits for writes whose callers are gone.
const LAST_WRITES: Duration = Duration::from_secs(25);
/// How long a stop waits for token endpoints: a token that is given to nobody costs a person's work.
const LAST_REFRESHES: Duration = Duration::from_secs(30);

/// Runs the server until it is told to stop.
pub(crate) async fn run(arguments: ServeArguments) -> Result<(), ServeError> {
    let ServeArguments { listen, process } = arguments;
    let (config, stop) = begin(&process)?;
    let listener = TcpListener::bind(listen).await.map_err(|error| ServeError::Listen(listen, error))?;
    let address = listener.local_addr().map_err(|error| ServeError::Listen(listen, error))?;
    let url = format!("http://{address}");
    let wired = wire(&process, &config, url.clone(), Role::Server).await?;

    let api = Api::new(wired.app.clone());
    let background = Background::start(&wired);
    let worker = work::start(&wired);
    let mut bounds = Bounds::default();
    if let Some(connections) = config.limits.connections {
        bounds.connections = connections;
        bounds.per_address = Bounds::share_of(connections);
    }
    if let Some(share) = config.limits.connections_per_address {
        bounds.per_address = share;
    }
    let first =
        if process.json { json!({"listening": url}).to_string() } else { format!("listening on {url}") };
    logging::announce(&first).map_err(ServeError::Log)?;
    api.set_ready();
    let stop = {
        let api = api.clone();
        async move {
            stop.await;
            api.set_draining();
        }
    };
    http_api::serve(listener, http_api::router(api.clone()), bounds, stop).await;
    if tokio::time::timeout(LAST_WRITES, api.drained()).await.is_err() {
        tracing::warn!("some writes did not end in time");
    }
    end(wired, worker, background).await;
    Ok(())
}

/// Carries runs out beside servers on the same store, until it is told to stop. It answers no calls.
pub(crate) async fn work(arguments: WorkerArguments) -> Result<(), ServeError> {
    let WorkerArguments { own, pool, data, config, master_key_file, models, production, .. } = arguments;
    let WorkerArguments { json, log, log_filter, .. } = arguments;
    if let (Some(tenant), Some(file)) = (own.tenant, own.credential_file) {
        logging::start(log.as_deref(), log_filter.as_deref(), json).map_err(ServeError::Log)?;
        hardening::protect_process()?;
        let config = Config::load(config.as_deref())?;
        return own_worker::run((tenant, &file), (config, master_key_file.as_deref()), json).await;
    }
    let data = data.unwrap_or_default();
    let process =
        ProcessArguments { data, config, master_key_file, models, production, json, log, log_filter, pool };
    let (config, stop) = begin(&process)?;
    if config.store.url.is_none() || config.is_alone() {
        return Err(ServeError::NothingShared);
    }
    let wired = wire(&process, &config, String::new(), Role::Worker).await?;
    let background = Background::start(&wired);
    let worker = work::start(&wired);
    let first = if process.json { json!({"working": true}).to_string() } else { "working".to_owned() };
    logging::announce(&first).map_err(ServeError::Log)?;
    stop.await;
    end(wired, worker, background).await;
    Ok(())
}

/// Reads the configuration, and says when the process is told to stop.
fn begin(process: &ProcessArguments) -> Result<(Config, impl Future<Output = ()> + use<>), ServeError> {
    logging::start(process.log.as_deref(), process.log_filter.as_deref(), process.json)
        .map_err(ServeError::Log)?;
    hardening::protect_process()?;
    let config = Config::load(process.config.as_deref())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("draining");
    };
    Ok((config, stop))
}

/// Lets what is under way end, and writes down what waits.
async fn end(wired: Wired, worker: Worker, background: Background) {
    worker.drain().await;
    // Others go on with what is left.
    wired.bell.ring(Topic::Work).await;
    background.end().await;
    if tokio::time::timeout(LAST_CALLS, wired.app.gateway.drained()).await.is_err() {
        tracing::warn!("some model calls did not end in time; their leases will");
    }
    // A token that a provider has just given is written down, or it is lost.
    if tokio::time::timeout(LAST_REFRESHES, wired.app.vault.drained()).await.is_err() {
        tracing::warn!("some credentials were still being refreshed");
    }
    wired.upkeep.close().await;
}
