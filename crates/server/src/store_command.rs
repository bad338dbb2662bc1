//! `tenantry store …`: what an administrator does with the database before servers use it.

use crate::config::Config;
use crate::{logging, system};
use clap::{Args, Subcommand};
use kms_file::{FileKms, MasterKey};
use serde_json::json;
use std::path::PathBuf;

/// The commands.
#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Make the database and the role that `[store] url` names, or bring them to this version.
    Init(InitArguments),
}

/// What is made.
#[derive(Args)]
pub(crate) struct InitArguments {
    /// The configuration file, with `url` and `admin_url` under `[store]`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file of the master key that all servers are given.
    #[arg(long, value_name = "FILE")]
    master_key_file: PathBuf,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: StoreCommand) -> Result<(), String> {
    match command {
        StoreCommand::Init(arguments) => init(arguments).await,
    }
}

async fn init(arguments: InitArguments) -> Result<(), String> {
    // Master key and administrator's password are about to be in this process's memory.
    hardening::protect_process().map_err(|error| format!("this process could not be protected: {error}"))?;
    let config = Config::load(Some(&arguments.config)).map_err(|error| error.to_string())?;
    let path = &arguments.master_key_file;
    let key = MasterKey::load(path)
        .map_err(|error| format!("the master key file {} cannot be used: {error}", path.display()))?;
    let missing = |name: &str| format!("`[store] {name}` is missing in {}", arguments.config.display());
    let url = config.store.url.ok_or_else(|| missing("url"))?;
    let admin_url = config.store.admin_url.ok_or_else(|| missing("admin_url"))?;
    let env = system::env();
    let kms = FileKms::new(env.clone(), key, None);
    let made = store_postgres::init(admin_url.expose(), url.expose(), &kms, &env)
        .await
        .map_err(|error| error.to_string())?;
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
