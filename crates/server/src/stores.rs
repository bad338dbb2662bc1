//! The engine behind the store's ports: the embedded one in the data folder, or PostgreSQL.

use crate::config::{Config, Durability, StoreConfig, TlsConfig};
use crate::first_start;
use crate::serve::{ProcessArguments, ServeError};
use context::{AuditLog, CredentialIndex};
use env::Env;
use kms_file::{FileKms, MasterKey};
use secret::{SecretBytes, SecretText};
use std::sync::Arc;
use std::time::Duration;
use store::{PlatformStore, TenantLifecycle, TenantStore};
use store_postgres::{Carries, OnlyServer, PostgresStore, SetupError, Tls};
use store_sqlite::EmbeddedStore;

/// How long a tenant's creation waits for the provisioner to make its home.
const HOME_MADE: Duration = Duration::from_secs(20);

/// The store, port by port.
pub(crate) struct Stores {
    pub(crate) tenants: Arc<dyn TenantStore>,
    pub(crate) platform: Arc<dyn PlatformStore>,
    pub(crate) lifecycle: Arc<dyn TenantLifecycle>,
    pub(crate) index: Arc<dyn CredentialIndex>,
    pub(crate) audit: Arc<dyn AuditLog>,
    /// The key of the credential index.
    pub(crate) index_key: SecretBytes<32>,
    /// The key under which the operator's own secrets are sealed.
    pub(crate) operator_secrets_key: SecretBytes<32>,
    pub(crate) upkeep: Upkeep,
}

/// What the store wants done for it while the server runs.
#[derive(Clone)]
pub(crate) enum Upkeep {
    /// Files are folded and closed, and the folder is this process's alone.
    Embedded(EmbeddedStore),
    /// The database keeps itself. Where several servers have nowhere to count together, it is this one's alone.
    Database { store: Arc<PostgresStore>, _only: Option<Arc<OnlyServer>> },
}

/// Opens the store that the configuration names.
pub(crate) async fn open(
    arguments: &ProcessArguments,
    config: &Config,
    env: &Env,
) -> Result<Stores, ServeError> {
    if config.store.admin_url.is_some() {
        return Err(ServeError::AdminUrl);
    }
    match &config.store.url {
        Some(url) => database(arguments, config, url, env).await,
        None => embedded(arguments, config, env).await,
    }
}

async fn embedded(arguments: &ProcessArguments, config: &Config, env: &Env) -> Result<Stores, ServeError> {
    let data = &arguments.data;
    let named = arguments.master_key_file.as_ref();
    let present = first_start::master_key(data, named, arguments.production, env)?;
    let kms = Arc::new(FileKms::new(env.clone(), present, previous(config)?));
    let settings = store_sqlite::Settings {
        folder: data.clone(),
        regions: config.store.regions.clone(),
        durable: config.store.durability == Durability::Full,
    };
    let store = EmbeddedStore::open(settings, kms, env.clone()).await?;
    let (index_key, operator_secrets_key) = (store.index_key()?, store.operator_secrets_key()?);
    let shared = Arc::new(store.clone());
    Ok(Stores {
        tenants: shared.clone(),
        platform: shared.clone(),
        lifecycle: shared.clone(),
        index: shared.clone(),
        audit: shared,
        index_key,
        operator_secrets_key,
        upkeep: Upkeep::Embedded(store),
    })
}

async fn database(
    arguments: &ProcessArguments,
    config: &Config,
    url: &SecretText,
    env: &Env,
) -> Result<Stores, ServeError> {
    first_start::folder(&arguments.data)?;
    // One that was made here would open nothing that other servers sealed.
    let path = arguments.master_key_file.as_ref().ok_or(ServeError::SharedStoreNeedsKey)?;
    let kms = Arc::new(FileKms::new(env.clone(), load(path)?, previous(config)?));
    let tls = tls(&config.store.tls)?;
    let only = match config.is_alone() {
        true => Some(Arc::new(OnlyServer::take(url.expose(), &tls).await?)),
        false => None,
    };
    let settings =
        store_postgres::Settings { pool: arguments.pool.clone(), ..settings(&config.store, url, tls) };
    let store = Arc::new(PostgresStore::open(settings, kms, env.clone()).await?);
    in_database(store, only).await
}

/// A database's store, port by port.
pub(crate) async fn in_database(
    store: Arc<PostgresStore>,
    only: Option<Arc<OnlyServer>>,
) -> Result<Stores, ServeError> {
    let (index_key, operator_secrets_key) = (store.index_key().await?, store.operator_secrets_key().await?);
    Ok(Stores {
        tenants: store.clone(),
        platform: store.clone(),
        lifecycle: store.clone(),
        index: store.clone(),
        audit: store.clone(),
        index_key,
        operator_secrets_key,
        upkeep: Upkeep::Database { store, _only: only },
    })
}

/// How a database is opened.
pub(crate) fn settings(config: &StoreConfig, url: &SecretText, tls: Tls) -> store_postgres::Settings {
    store_postgres::Settings {
        url: url.clone(),
        regions: config.regions.clone(),
        connections: config.connections,
        own_homes: config.own_homes,
        patience: HOME_MADE,
        tls,
        carries: Carries::Shared,
        pool: None,
    }
}

/// What links to the database go by.
pub(crate) fn tls(config: &TlsConfig) -> Result<Tls, SetupError> {
    let identity = config.certificate_file.as_deref().zip(config.key_file.as_deref());
    if identity.is_none() && (config.certificate_file.is_some() || config.key_file.is_some()) {
        return Err(SetupError::Tls("`certificate_file` and `key_file` go together".to_owned()));
    }
    let read = Tls::read(config.authorities_file.as_deref(), identity);
    read.map_err(|unfit| SetupError::Tls(unfit.to_string()))
}

fn load(path: &std::path::Path) -> Result<MasterKey, ServeError> {
    MasterKey::load(path).map_err(|error| ServeError::MasterKey(path.to_owned(), error))
}

/// The master key before the present one, while keys are rotated.
fn previous(config: &Config) -> Result<Option<MasterKey>, ServeError> {
    config.kms.previous_master_key_file.as_deref().map(load).transpose()
}

impl Upkeep {
    /// Folds and closes what waits for it.
    pub(crate) async fn maintain(&self) {
        if let Self::Embedded(store) = self {
            store.maintain().await;
        }
    }

    /// Asks whether another server has changed what this one remembers.
    pub(crate) async fn look_for_changes(&self) {
        if let Self::Database { store, .. } = self {
            store.look_for_changes().await;
        }
    }

    /// Ready when this server has changed what others may remember.
    pub(crate) async fn changed(&self) {
        match self {
            Self::Embedded(_) => std::future::pending().await,
            Self::Database { store, .. } => store.changed().await,
        }
    }

    /// Closes what is idle whenever many tenants' databases were opened. Never ends.
    pub(crate) async fn keep_few_open(&self) -> std::convert::Infallible {
        match self {
            Self::Embedded(store) => store.keep_few_open().await,
            Self::Database { .. } => std::future::pending().await,
        }
    }

    /// Writes down what waits, and closes.
    pub(crate) async fn close(&self) {
        if let Self::Embedded(store) = self {
            store.close().await;
        }
    }
}
