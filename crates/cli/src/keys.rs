//! `tenantry keys`: a tenant's API keys, and the rotation of the master key.

use crate::offline::Surroundings;
use crate::output::{Ended, News, Trouble, say, say_json};
use crate::server::{TenantOptions, key};
use crate::table;
use crate::tenants::every_page;
use clap::{Args, Subcommand};
use serde_json::{Map, json};
use std::path::PathBuf;

/// What is done with keys.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// List a tenant's API keys.
    List(Options),
    /// Make an API key, which is shown this once.
    Create(CreateArguments),
    /// Revoke an API key; it is refused from the next request on.
    Revoke(RevokeArguments),
    /// Wrap every tenant's key under a new master key, while the server is stopped.
    Rotate(RotateArguments),
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

/// The folder and its master keys.
#[derive(Args)]
pub struct RotateArguments {
    /// The data folder of the stopped server.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// The file with the new master key.
    #[arg(long, value_name = "FILE")]
    master_key_file: PathBuf,
    /// The file with the master key until now.
    #[arg(long, value_name = "FILE")]
    previous_master_key_file: PathBuf,
    /// The file with an operator's key, for the operators' log; DIR/operator.key where absent.
    #[arg(long, value_name = "FILE")]
    operator_key_file: Option<PathBuf>,
    /// Re-encrypt the data of this tenant under a new key of its own.
    #[arg(long, value_name = "TENANT")]
    data: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

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
        KeysCommand::Rotate(arguments) => return rotate(arguments, around).await,
    }
    Ok(News::Good)
}

async fn rotate(arguments: RotateArguments, around: &Surroundings) -> Ended {
    if let Some(tenant) = arguments.data {
        let detail = "the embedded store cannot encrypt a tenant's data anew yet; nothing was changed";
        return Err(Trouble::other(format!("{tenant}: {detail}")));
    }
    let operator = arguments.operator_key_file.unwrap_or_else(|| arguments.folder.join("operator.key"));
    let operator = key(&operator)?;
    let (present, previous) = (&arguments.master_key_file, &arguments.previous_master_key_file);
    let wrapped = around.offline.rewrap_keys(&arguments.folder, present, previous, operator).await;
    let tenants = wrapped.map_err(Trouble::Other)?;
    if arguments.json {
        say_json(&json!({"tenants": tenants}))?;
    } else {
        say(format!("The keys of {tenants} tenants are wrapped by the new master key."))?;
        say("Start the server with it from now on; the previous one opens older backups alone.")?;
    }
    Ok(News::Good)
}
