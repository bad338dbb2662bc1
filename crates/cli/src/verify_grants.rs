//! `tenantry verify-grants`: grants with which somebody else runs the attack suite.

use crate::output::{Ended, News, say, say_json};
use crate::server::OperatorOptions;
use crate::table;
use crate::tenants::every_page;
use clap::{Args, Subcommand};
use serde_json::{Map, json};

/// What is done with grants.
#[derive(Args)]
pub struct VerifyGrantsArguments {
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
    /// List the grants.
    List,
    /// Make a grant, which is shown this once.
    Create {
        /// What operators call it.
        name: String,
        /// How many hours it holds, 1 to 168; 24 where absent.
        #[arg(long)]
        hours: Option<u32>,
        /// How many throwaway tenants it may have at the same time, 2 to 16; 4 where absent.
        #[arg(long)]
        tenants: Option<u32>,
    },
    /// Revoke a grant, and erase its throwaway tenants.
    Revoke {
        /// The grant's id.
        id: String,
    },
}

const PATH: &str = "/v1/verify-grants";
const COLUMNS: [&str; 5] = ["id", "name", "tenants", "tenants_now", "expires_at"];

pub(crate) async fn run(arguments: VerifyGrantsArguments) -> Ended {
    let client = arguments.server.connect()?;
    let as_json = arguments.json;
    match arguments.action {
        Action::List => {
            let all = every_page(&client, PATH).await?;
            if as_json { say_json(&json!({"data": all}))? } else { say(table::rows(&all, &COLUMNS))? }
        }
        Action::Create { name, hours, tenants } => {
            let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
            body.extend(hours.map(|hours| ("hours".to_owned(), json!(hours))));
            body.extend(tenants.map(|tenants| ("tenants".to_owned(), json!(tenants))));
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
