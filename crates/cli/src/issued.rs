//! What operators issue, list and revoke, and is shown once: their own keys, and grants to run the attack suite.

use crate::output::{Ended, News, say, say_json};
use crate::server::OperatorOptions;
use crate::table;
use crate::tenants::every_page;
use clap::Args;
use serde_json::{Map, Value, json};

/// How each of these commands reaches the server and prints.
#[derive(Args)]
pub(crate) struct IssuedOptions {
    #[command(flatten)]
    server: OperatorOptions,
    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// What is issued.
pub(crate) struct Issued {
    /// Where.
    pub(crate) path: &'static str,
    /// What a list shows of each.
    pub(crate) columns: &'static [&'static str],
}

/// What is done.
pub(crate) enum Order {
    List,
    /// With what was given, by name.
    Create(Vec<(&'static str, Option<Value>)>),
    Revoke(String),
}

impl IssuedOptions {
    pub(crate) async fn carry_out(self, issued: Issued, order: Order) -> Ended {
        let client = self.server.connect()?;
        let path = issued.path;
        match order {
            Order::List => {
                let all = every_page(&client, path).await?;
                match self.json {
                    true => say_json(&json!({"data": all}))?,
                    false => say(table::rows(&all, issued.columns))?,
                }
            }
            Order::Create(given) => {
                let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
                let made = client.post(path, &Map::from_iter(given)).await?;
                if self.json { say_json(&made)? } else { say(table::members(&made))? }
            }
            Order::Revoke(id) => {
                client.delete(&format!("{path}/{id}")).await?;
                match self.json {
                    true => say_json(&json!({"id": id, "revoked": true}))?,
                    false => say(format!("{id} is revoked"))?,
                }
            }
        }
        Ok(News::Good)
    }
}
