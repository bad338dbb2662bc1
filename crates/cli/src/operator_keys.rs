//! `tenantry operator-keys`: the operators' own keys.

use crate::output::{Ended, News, say, say_json};
use crate::server::OperatorOptions;
use crate::table;
use crate::tenants::every_page;
use clap::{Args, Subcommand};
use serde_json::{Map, json};

/// What is done with operators' keys.
#[derive(Args)]
pub struct OperatorKeysArguments {
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
    /// List the operators' keys.
    List,
    /// Make an operator's key, which is shown this once.
    Create {
        /// What operators call it.
        name: String,
        /// Its role: admin, or viewer, which may only read and is what it is where absent.
        #[arg(long)]
        role: Option<String>,
    },
    /// Revoke an operator's key; it is refused from the next request on. The last admin key stays.
    Revoke {
        /// The key's id.
        id: String,
    },
}

const PATH: &str = "/v1/operator-keys";
const COLUMNS: [&str; 4] = ["id", "name", "role", "created_at"];

pub(crate) async fn run(arguments: OperatorKeysArguments) -> Ended {
    let client = arguments.server.connect()?;
    let as_json = arguments.json;
    match arguments.action {
        Action::List => {
            let all = every_page(&client, PATH).await?;
            if as_json { say_json(&json!({"data": all}))? } else { say(table::rows(&all, &COLUMNS))? }
        }
        Action::Create { name, role } => {
            let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
            body.extend(role.map(|role| ("role".to_owned(), json!(role))));
            let made = client.post(PATH, &body).await?;
            if as_json { say_json(&made)? } else { say(table::members(&made))? }
        }
        Action::Revoke { id } => {
            client.delete(&format!("{PATH}/{id}")).await?;
            if as_json {
                say_json(&json!({"id": id, "revoked": true}))?
            } else {
                say(format!("{id} is revoked"))?
            }
        }
    }
    Ok(News::Good)
}
