//! `tenantry tenants`: tenants as the operator makes and administers them.

use crate::backup::{receive_new, send_file};
use crate::output::{Ended, News, Progress, say, say_json};
use crate::server::OperatorOptions;
use crate::table;
use clap::{Args, Subcommand};
use client::Client;
use http::Method;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// What is done with tenants.
#[derive(Args)]
pub struct TenantsArguments {
    #[command(flatten)]
    server: OperatorOptions,
    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a tenant with its first key, which is shown this once.
    Create {
        /// What people call it.
        name: String,
        /// Your own id for it.
        #[arg(long)]
        external_id: Option<String>,
        /// Its plan.
        #[arg(long)]
        plan: Option<String>,
        /// Where its data rests.
        #[arg(long)]
        region: Option<String>,
    },
    /// List tenants.
    List,
    /// Show a tenant.
    Show {
        /// The tenant's id.
        id: String,
    },
    /// Put a tenant on another plan.
    SetPlan {
        /// The tenant's id.
        id: String,
        /// The plan.
        plan: String,
    },
    /// Move a tenant to another kind of isolation, while it works, and wait until it is there.
    Move {
        /// The tenant's id.
        id: String,
        /// Where to: a database of its own, a schema of its own, or the tables that tenants share.
        #[arg(long, value_parser = ["dedicated", "schema", "pooled"])]
        to: String,
    },
    /// Refuse every key of a tenant and park its runs.
    Suspend {
        /// The tenant's id.
        id: String,
    },
    /// Let a suspended tenant take part again.
    Resume {
        /// The tenant's id.
        id: String,
        /// The tenant was exported, and imported nowhere.
        #[arg(long)]
        not_imported: bool,
    },
    /// Export a suspended tenant, sealed, for another deployment with the same master key.
    Export {
        /// The tenant's id.
        id: String,
        /// The file to write. It must not be there yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take in a tenant that another deployment has exported. It is suspended until it is resumed here.
    Import {
        /// The tenant's id.
        id: String,
        /// The exported tenant.
        file: PathBuf,
        /// How it is to be kept apart here; the deployment's first kind where none is named.
        #[arg(long, value_parser = ["dedicated", "schema", "pooled"])]
        isolation: Option<String>,
    },
    /// Erase a tenant for ever, and show the receipt.
    Delete {
        /// The tenant's id.
        id: String,
    },
}

/// How often it is looked how far a move is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const COLUMNS: [&str; 5] = ["id", "name", "plan", "region", "status"];

pub(crate) async fn run(arguments: TenantsArguments) -> Ended {
    let client = arguments.server.connect()?;
    let as_json = arguments.json;
    let at = |id: &str| format!("/v1/tenants/{id}");
    let answer = match arguments.action {
        Action::List => {
            let all = every_page(&client, "/v1/tenants").await?;
            if as_json {
                say_json(&json!({"data": all}))?
            } else {
                say(table::rows(&all, &COLUMNS))?
            }
            return Ok(News::Good);
        }
        Action::Create { name, external_id, plan, region } => {
            let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
            for (member, value) in [("external_id", external_id), ("plan", plan), ("region", region)] {
                body.extend(value.map(|value| (member.to_owned(), json!(value))));
            }
            client.post("/v1/tenants", &body).await?
        }
        Action::Show { id } => client.get(&at(&id)).await?,
        Action::SetPlan { id, plan } => {
            let call = client.call(Method::PATCH, &at(&id)).json(&json!({"plan": plan}))?;
            call.send().await?.read()?
        }
        Action::Move { id, to } => {
            client.post(&format!("{}/move", at(&id)), &json!({"to": to})).await?;
            let ended = until_moved(&client, &at(&id), as_json).await?;
            return shown(&ended, as_json, ended["phase"] == "done");
        }
        Action::Suspend { id } => client.post(&format!("{}/suspend", at(&id)), &json!({})).await?,
        Action::Resume { id, not_imported } => {
            client.post(&format!("{}/resume?not_imported={not_imported}", at(&id)), &json!({})).await?
        }
        Action::Export { id, out } => {
            let bytes = receive_new(&client, &format!("{}/export", at(&id)), &out).await?;
            json!({"file": out.display().to_string(), "bytes": bytes})
        }
        Action::Import { id, file, isolation } => {
            let path = match isolation {
                Some(isolation) => format!("{}/import?isolation={isolation}", at(&id)),
                None => format!("{}/import", at(&id)),
            };
            send_file(&client, &path, &file).await?.accepted()?.json()
        }
        Action::Delete { id } => client.delete(&at(&id)).await?,
    };
    shown(&answer, as_json, true)
}

/// Shows an answer, which may be bad news.
fn shown(answer: &Value, as_json: bool, good: bool) -> Ended {
    if as_json {
        say_json(answer)?
    } else {
        say(table::members(answer))?
    }
    Ok(if good { News::Good } else { News::Bad })
}

/// Waits until a tenant's move has ended. Whoever stops waiting stops nothing.
async fn until_moved(client: &Client, path: &str, quiet: bool) -> Result<Value, client::CallError> {
    let progress = Progress::new(quiet);
    loop {
        let mut tenant = client.get(path).await?;
        let moving = tenant["last_move"].take();
        let phase = moving["phase"].as_str().unwrap_or_default();
        if matches!(phase, "done" | "failed") {
            progress.clear();
            return Ok(moving);
        }
        progress.tell(match phase {
            "waiting" => "waiting for `tenantry provisioner`",
            other => other,
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Everything in a list, page after page.
pub(crate) async fn every_page(client: &Client, path: &str) -> Result<Vec<Value>, client::CallError> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}?limit=500{cursor}")).await?;
        all.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}
