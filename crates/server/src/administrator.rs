//! `tenantry store …` and `tenantry provisioner`: what is done with an administrator's rights, which no server has.

use crate::config::Config;
use crate::stores::tls;
use crate::{logging, offline, system};
use clap::{Args, Subcommand};
use env::Env;
use kms_file::{FileKms, MasterKey};
use secret::SecretText;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use store_postgres::{Provisioner, Tls};
use tokio::signal::unix::{SignalKind, signal};

/// The commands.
#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Make the database and the role that `[store] url` names, or bring them to this version.
    Init(InitArguments),
}

/// Who the administrator is.
#[derive(Args)]
pub(crate) struct AdministratorArguments {
    /// The configuration file, with `url` and `admin_url` under `[store]`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The file of the master key that all servers are given.
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: PathBuf,
}

/// What is made.
#[derive(Args)]
pub(crate) struct InitArguments {
    #[command(flatten)]
    administrator: AdministratorArguments,
    /// Give the database the keys that the embedded server of this data folder has for itself, so that tenants can be
    /// exported from the one and imported into the other. That server is stopped for it, and no server was on the database.
    #[arg(long, value_name = "DIR")]
    keys_of: Option<PathBuf>,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// How the provisioner is started.
#[derive(Args)]
pub(crate) struct ProvisionerArguments {
    #[command(flatten)]
    administrator: AdministratorArguments,
    /// Print the log as JSON.
    #[arg(long)]
    json: bool,
}

/// What all of them need.
pub(crate) struct Administrator {
    pub(crate) url: SecretText,
    pub(crate) admin_url: SecretText,
    pub(crate) tls: Tls,
    pub(crate) kms: Arc<FileKms>,
    pub(crate) env: Env,
}

impl AdministratorArguments {
    pub(crate) fn read(self) -> Result<Administrator, String> {
        // Master key and administrator's password are about to be in this process's memory.
        hardening::protect_process()
            .map_err(|error| format!("this process could not be protected: {error}"))?;
        let store = Config::load(Some(&self.config)).map_err(|error| error.to_string())?.store;
        let key = MasterKey::load(&self.master_key_file).map_err(|error| {
            format!("the master key file {} cannot be used: {error}", self.master_key_file.display())
        })?;
        let missing = |name: &str| format!("`[store] {name}` is missing in {}", self.config.display());
        let env = system::env();
        Ok(Administrator {
            url: store.url.ok_or_else(|| missing("url"))?,
            admin_url: store.admin_url.ok_or_else(|| missing("admin_url"))?,
            tls: tls(&store.tls).map_err(|error| error.to_string())?,
            kms: Arc::new(FileKms::new(env.clone(), key, None)),
            env,
        })
    }
}

pub(crate) async fn run(command: StoreCommand) -> Result<(), String> {
    match command {
        StoreCommand::Init(arguments) => init(arguments).await,
    }
}

async fn init(arguments: InitArguments) -> Result<(), String> {
    let Administrator { url, admin_url, tls, kms, env } = arguments.administrator.read()?;
    let made = store_postgres::init(admin_url.expose(), url.expose(), &tls, kms.as_ref(), &env)
        .await
        .map_err(|error| error.to_string())?;
    if let Some(folder) = &arguments.keys_of {
        let keys = offline::own_keys(folder, kms.clone(), env).await?;
        store_postgres::give_own_keys(admin_url.expose(), url.expose(), &tls, kms.as_ref(), &keys)
            .await
            .map_err(|error| error.to_string())?;
    }
    let line = if arguments.json {
        json!({"database": made.database, "role": made.role, "schema_version": made.schema_version})
            .to_string()
    } else {
        format!(
            "the database {} is at version {} of its schema; its role {} owns nothing",
            made.database, made.schema_version, made.role
        )
    };
    logging::announce(&line).map_err(|error| error.to_string())
}

/// Serves what servers ask for until it is told to stop.
pub(crate) async fn provision(arguments: ProvisionerArguments) -> Result<(), String> {
    logging::start(None, None, arguments.json)
        .map_err(|error| format!("the log cannot be written: {error}"))?;
    let Administrator { url, admin_url, tls, kms, env } = arguments.administrator.read()?;
    let listen = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let provisioner = Provisioner::new(admin_url.expose(), url.expose(), &tls, kms, env)
        .map_err(|error| error.to_string())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let first =
        if arguments.json { json!({"provisioning": true}).to_string() } else { "provisioning".to_owned() };
    logging::announce(&first).map_err(|error| error.to_string())?;
    provisioner.serve(stop).await;
    Ok(())
}
