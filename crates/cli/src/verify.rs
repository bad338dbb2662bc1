//! `tenantry verify`: attacks a server, its own or another.

use crate::offline::Surroundings;
use crate::output::{Ended, News, Progress, Trouble, say, say_json};
use crate::server::key;
use ::verify::{Options, Outside, OwnServer, Places, Report};
use clap::Args;
use client::{BaseUrl, Client};
use serde_json::json;
use std::path::PathBuf;

/// How a server is attacked.
#[derive(Args)]
pub struct VerifyArguments {
    /// The server to attack; one of its own, on a temporary folder, where absent.
    #[arg(long, value_name = "URL", requires = "operator_key_file")]
    url: Option<BaseUrl>,
    /// The file with an operator's key for that server.
    #[arg(long, value_name = "FILE", requires = "url")]
    operator_key_file: Option<PathBuf>,
    /// That server's log, to be searched for what may stand in no log.
    #[arg(long, value_name = "FILE", requires = "url")]
    log: Option<PathBuf>,
    /// That server's data folder, to be searched, too.
    #[arg(long, value_name = "DIR", requires = "url")]
    data: Option<PathBuf>,
    /// Write the report into this file as JUnit does, for CI systems.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: VerifyArguments, around: &Surroundings) -> Ended {
    let VerifyArguments { url, operator_key_file, log, data, junit, json: as_json } = arguments;
    let report = match (url, operator_key_file) {
        (Some(url), Some(file)) => {
            let operator_key = key(&file)?;
            attack(Client::new(url), operator_key, (Places { log, data }, None), around, as_json).await?
        }
        _ => {
            let program = std::env::current_exe()?;
            let outside = Outside::listen().await?;
            let configuration = outside.configuration();
            let server = OwnServer::start(&program, None, "127.0.0.1:0", &configuration, &[]).await;
            let server = server.map_err(Trouble::other)?;
            let (client, key) = (Client::new(server.url.clone()), server.operator_key.clone());
            let within = (server.places(), Some(&outside));
            let report = tokio::select! {
                report = attack(client, key, within, around, as_json) => report,
                never = outside.serve() => match never {},
            };
            server.stop().await;
            report?
        }
    };
    if let Some(path) = &junit {
        std::fs::write(path, report.junit())?;
    }
    if as_json {
        say_json(&json!(report))?
    } else {
        say(report.to_string())?
    }
    Ok(if report.is_bad_news() { News::Bad } else { News::Good })
}

async fn attack(
    client: Client,
    operator_key: secret::SecretText,
    (places, outside): (Places, Option<&Outside>),
    around: &Surroundings,
    quiet: bool,
) -> Result<Report, Trouble> {
    let progress = Progress::new(quiet);
    let tell = |done: usize, total: usize| progress.tell(&format!("{done} of {total} attacks"));
    let options = Options { client, operator_key, env: around.env.clone(), places, outside, progress: &tell };
    let outcome = ::verify::run(options).await;
    progress.clear();
    outcome.map_err(Trouble::other)
}
