//! `tenantry keys`: a tenant's API keys, and the rotation of the master key.

use crate::offline::{Surroundings, WantedStore};
use crate::output::{Ended, News, Trouble, say, say_json};
use crate::server::{ServerOption, TenantOptions, key};
use crate::table;
use crate::tenants::every_page;
use clap::{Args, Subcommand};
use client::Client;
use http::Method;
use serde_json::{Map, json};
use std::path::PathBuf;
use std::time::Duration;

/// What is done with keys.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// List a tenant's API keys.
    List(Options),
    /// Make an API key, which is shown this once.
    Create(CreateArguments),
    /// Revoke an API key; it is refused from the next request on.
    Revoke(RevokeArguments),
    /// Wrap every tenant's keys under a new master key, while the server is stopped; or, with `--data`, encrypt
    /// one tenant's store anew under a key of its own, while it runs.
    Rotate(RotateArguments),
    /// Put the master key into escrow: split it into shares of which so many bring it back. Works offline.
    Split(SplitArguments),
    /// Bring the master key back from shares. Works offline.
    Recover(RecoverArguments),
}

/// Which tenant, and how to answer.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    server: TenantOptions,
    /// Print the server's answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What the new key may do.
#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    options: Options,
    /// What people call it.
    name: String,
    /// Its role: owner, admin, developer, member or viewer.
    #[arg(long)]
    role: Option<String>,
    /// A scope that it is narrowed to, such as `records:read`; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

/// Which key.
#[derive(Args)]
pub struct RevokeArguments {
    #[command(flatten)]
    options: Options,
    /// The key's id.
    id: String,
}

/// The folder and its master keys, or the tenant and the server.
#[derive(Args)]
pub struct RotateArguments {
    /// The data folder of the stopped server.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["data", "config"], conflicts_with_all = ["data", "config"])]
    folder: Option<PathBuf>,
    /// In place of a folder: the configuration file, with `url` and `admin_url` under `[store]`, of the database that all
    /// servers have left.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
    /// The file with the new master key.
    #[arg(long, value_name = "FILE", required_unless_present = "data", conflicts_with = "data")]
    master_key_file: Option<PathBuf>,
    /// The file with the master key until now.
    #[arg(long, value_name = "FILE", required_unless_present = "data", conflicts_with = "data")]
    previous_master_key_file: Option<PathBuf>,
    /// The file with an operator's key; DIR/operator.key where absent.
    #[arg(long, value_name = "FILE", required_unless_present = "folder")]
    operator_key_file: Option<PathBuf>,
    /// Encrypt the store of this tenant anew. Its older backups open no more.
    #[arg(long, value_name = "TENANT")]
    data: Option<String>,
    /// The running server, with `--data`.
    #[command(flatten)]
    server: ServerOption,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The key, and how it is split.
#[derive(Args)]
pub struct SplitArguments {
    /// The file with the master key.
    #[arg(long, value_name = "FILE")]
    master_key_file: PathBuf,
    /// How many shares, 2 to 16.
    #[arg(long, value_name = "N")]
    shares: u8,
    /// How many of them bring the key back, 2 at least; fewer say nothing of it.
    #[arg(long, value_name = "K")]
    threshold: u8,
    /// The folder for the shares, a file each, which must not be there yet. Give each to somebody else.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The shares, and where the key goes.
#[derive(Args)]
pub struct RecoverArguments {
    /// Files with shares, as many as it takes.
    #[arg(value_name = "SHARE", required = true)]
    shares: Vec<PathBuf>,
    /// The file for the master key, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

fn split(arguments: &SplitArguments, around: &Surroundings) -> Ended {
    let SplitArguments { master_key_file, shares, threshold, out, json: as_json } = arguments;
    let files = around.offline.split_master_key(master_key_file, *threshold, *shares, out);
    let files = files.map_err(Trouble::other)?;
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    if *as_json {
        say_json(&json!({"threshold": threshold, "shares": files}))?;
    } else {
        say(format!(
            "Any {threshold} of these {shares} bring the master key back; give each to somebody else:"
        ))?;
        files.iter().try_for_each(say)?;
    }
    Ok(News::Good)
}

fn recover(arguments: &RecoverArguments, around: &Surroundings) -> Ended {
    let RecoverArguments { shares, out, json: as_json } = arguments;
    let id = around.offline.recover_master_key(shares, out).map_err(Trouble::other)?;
    let file = out.display().to_string();
    if *as_json {
        say_json(&json!({"file": file, "master_key": id}))?;
    } else {
        say(format!("The master key {id} is in {file}."))?;
    }
    Ok(News::Good)
}

/// How long a tenant's store may take to be written anew.
const CHANGE: Duration = Duration::from_secs(3600);
const COLUMNS: [&str; 5] = ["id", "name", "role", "scopes", "revoked_at"];

pub(crate) async fn run(command: KeysCommand, around: &Surroundings) -> Ended {
    match command {
        KeysCommand::List(options) => {
            let all = every_page(&options.server.connect()?, "/v1/api-keys").await?;
            if options.json { say_json(&json!({"data": all}))? } else { say(table::rows(&all, &COLUMNS))? }
        }
        KeysCommand::Create(CreateArguments { options, name, role, scopes }) => {
            let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
            body.extend(role.map(|role| ("role".to_owned(), json!(role))));
            if !scopes.is_empty() {
                body.insert("scopes".to_owned(), json!(scopes));
            }
            let made = options.server.connect()?.post("/v1/api-keys", &body).await?;
            if options.json { say_json(&made)? } else { say(table::members(&made))? }
        }
        KeysCommand::Revoke(RevokeArguments { options, id }) => {
            options.server.connect()?.delete(&format!("/v1/api-keys/{id}")).await?;
            if options.json {
                say_json(&json!({"id": id, "revoked": true}))?
            } else {
                say(format!("{id} is revoked"))?
            }
        }
        KeysCommand::Split(arguments) => return split(&arguments, around),
        KeysCommand::Recover(arguments) => return recover(&arguments, around),
        KeysCommand::Rotate(arguments) => return rotate(arguments, around).await,
    }
    Ok(News::Good)
}

async fn rotate(arguments: RotateArguments, around: &Surroundings) -> Ended {
    let RotateArguments {
        folder, config, master_key_file, previous_master_key_file, operator_key_file, ..
    } = arguments;
    let operator = operator_key_file.or_else(|| Some(folder.as_ref()?.join("operator.key")));
    let operator = key(&operator.unwrap_or_default())?;
    if let Some(tenant) = arguments.data {
        let client = Client::new(arguments.server.url).with_key(operator);
        let path = format!("/v1/tenants/{tenant}/data-key");
        let changed = client.call(Method::POST, &path).within(CHANGE).send().await?.accepted()?.json();
        if arguments.json {
            say_json(&changed)?
        } else {
            say(table::members(&changed))?
        }
        return Ok(News::Good);
    }
    let store = match (&folder, &config) {
        (Some(folder), _) => Some(WantedStore::Folder(folder)),
        (None, config) => config.as_deref().map(WantedStore::Database),
    };
    let (Some(store), Some(present), Some(previous)) = (store, master_key_file, previous_master_key_file)
    else {
        return Err(Trouble::other(
            "a folder or a configuration, and both master keys are needed".to_owned(),
        ));
    };
    let wrapped = around.offline.rewrap_keys(store, &present, &previous, operator).await;
    let tenants = wrapped.map_err(Trouble::Other)?;
    if arguments.json {
        say_json(&json!({"tenants": tenants}))?;
    } else {
        say(format!("The keys of {tenants} tenants are wrapped by the new master key."))?;
        say("Start the server with it from now on; the previous one opens older backups alone.")?;
    }
    Ok(News::Good)
}
