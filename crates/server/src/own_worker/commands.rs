//! `tenantry workers …`: what has the master key gives tenants' own workers what they have, and takes it away.

use super::credential::Credential;
use super::launcher::{self, LaunchArguments};
use crate::config::Config;
use crate::failures::Failures;
use crate::stores::{in_database, settings, tls};
use crate::{logging, system};
use app::own_workers::Issuing;
use clap::{Args, Subcommand};
use context::{Authenticator, IndexKey, WorkerToken};
use env::{Env, Timestamp};
use ids::{KeyId, TenantId};
use kms_file::{FileKms, MasterKey};
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store_postgres::PostgresStore;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The commands.
#[derive(Subcommand)]
pub(crate) enum WorkersCommand {
    /// Start a worker of its own for each tenant that has a database of its own, and end it when the tenant has none.
    Launch(LaunchArguments),
    /// Write what the own worker of one tenant is given into a file.
    Grant(GrantArguments),
    /// Withdraw the token of such a file.
    Revoke(RevokeArguments),
}

/// Who issues: whoever has the master key.
#[derive(Args)]
pub(crate) struct IssuerArguments {
    /// The configuration file of the servers.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file of the master key that all servers are given.
    #[arg(long, value_name = "FILE")]
    master_key_file: PathBuf,
}

/// What is granted.
#[derive(Args)]
pub(crate) struct GrantArguments {
    /// The tenant.
    tenant: TenantId,
    /// Where the credential is written, for its owner alone. It must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many days the token holds.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: u32,
    #[command(flatten)]
    issuer: IssuerArguments,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// What is withdrawn.
#[derive(Args)]
pub(crate) struct RevokeArguments {
    /// The tenant.
    tenant: TenantId,
    /// The token's id, as the grant said it.
    token: KeyId,
    #[command(flatten)]
    issuer: IssuerArguments,
}

/// What credentials are made with.
pub(super) struct Issuer {
    pub(super) config: Config,
    pub(super) store: Arc<PostgresStore>,
    pub(super) env: Env,
    authenticator: Authenticator,
    servers: Vec<String>,
}

impl IssuerArguments {
    pub(super) async fn open(self) -> Result<Issuer, String> {
        // The master key is about to be in this process's memory.
        hardening::protect_process()
            .map_err(|error| format!("this process could not be protected: {error}"))?;
        let mut config = Config::load(Some(&self.config)).map_err(|error| error.to_string())?;
        // A tenant's home is opened to note what it was given, and by and by another's.
        (config.store.connections, config.store.own_homes) = (4, NonZeroUsize::MIN);
        let named = |what: &str| format!("{what} in {}", self.config.display());
        if config.store.admin_url.is_some() {
            return Err(named("`[store] admin_url` is not for those who start workers; it stands"));
        }
        let url = config.store.url.clone().ok_or_else(|| named("`[store] url` is missing"))?;
        let servers = match config.workers.server_urls.as_slice() {
            [] => config.public_url.iter().cloned().collect(),
            named => named.to_vec(),
        };
        if servers.is_empty() {
            return Err(named("neither `[workers] server_urls` nor `public_url` stands"));
        }
        let key = MasterKey::load(&self.master_key_file).map_err(|error| {
            format!("the master key file {} cannot be used: {error}", self.master_key_file.display())
        })?;
        let env = system::env();
        let kms = Arc::new(FileKms::new(env.clone(), key, None));
        let tls = tls(&config.store.tls).map_err(|error| error.to_string())?;
        let opened = PostgresStore::open(settings(&config.store, &url, tls), kms, env.clone()).await;
        let store = Arc::new(opened.map_err(|error| error.to_string())?);
        let stores = in_database(store.clone(), None).await.map_err(|error| error.to_string())?;
        let authenticator = Authenticator::new(
            stores.index,
            stores.audit,
            Arc::new(Failures::default()),
            Arc::new(IndexKey::new(stores.index_key)),
            String::new(),
            env.clone(),
        );
        Ok(Issuer { config, store, env, authenticator, servers })
    }
}

impl Issuer {
    fn issuing(&self) -> Issuing<'_> {
        let store = self.store.as_ref();
        Issuing { store, platform: store, authenticator: &self.authenticator, env: &self.env }
    }

    /// A fresh credential; nothing where the tenant is to have no worker of its own.
    pub(super) async fn grant(
        &self,
        tenant: TenantId,
        until: Timestamp,
    ) -> Result<Option<(Credential, KeyId)>, String> {
        let home = self.store.own_home(tenant).await.map_err(|error| error.to_string())?;
        let Some(home) = home else { return Ok(None) };
        let granted = self.issuing().grant(tenant, until).await;
        let WorkerToken { id, text: token } = granted.map_err(|problem| problem.to_string())?;
        let (servers, allow) = (self.servers.clone(), self.config.egress.allow.clone());
        let tls = self.config.store.tls.clone();
        Ok(Some((Credential { servers, token, home, allow, tls }, id)))
    }

    pub(super) async fn revoke(&self, tenant: TenantId, token: KeyId) -> Result<(), String> {
        self.issuing().revoke(tenant, token).await.map_err(|problem| problem.to_string())
    }
}

pub(crate) async fn run(command: WorkersCommand) -> Result<(), String> {
    match command {
        WorkersCommand::Launch(arguments) => launcher::run(arguments).await,
        WorkersCommand::Grant(arguments) => grant(arguments).await,
        WorkersCommand::Revoke(arguments) => {
            let RevokeArguments { tenant, token, issuer } = arguments;
            issuer.open().await?.revoke(tenant, token).await?;
            logging::announce(&format!("{token} is taken no more")).map_err(|error| error.to_string())
        }
    }
}

async fn grant(arguments: GrantArguments) -> Result<(), String> {
    let GrantArguments { tenant, out, days, issuer, json: as_json } = arguments;
    let issuer = issuer.open().await?;
    let until = issuer.env.now().plus(DAY * days);
    let granted = issuer.grant(tenant, until).await?;
    let (credential, token) =
        granted.ok_or_else(|| format!("{tenant} has no database of its own, and so no worker of its own"))?;
    if let Err(error) = credential.write(&out) {
        // A token that nobody has is better not there.
        issuer.revoke(tenant, token).await?;
        return Err(format!("{} cannot be written: {error}", out.display()));
    }
    let line = match as_json {
        true => json!({"tenant": tenant, "token": token, "until": until, "file": out}).to_string(),
        false => format!("{} is for {tenant} until {until}; its token is {token}", out.display()),
    };
    logging::announce(&line).map_err(|error| error.to_string())
}
