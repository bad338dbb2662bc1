//! `tenantry verify`: attacks a server, its own or another.

use crate::evidence::{self, Kept};
use crate::offline::{Surroundings, WantedAttack};
use crate::output::{Ended, News, Progress, Trouble, say, say_json};
use crate::server::key;
use ::audit::evidence::Server;
use ::verify::{Only, Options, Outside, OwnServer, Places, Report, VerifyError};
use clap::Args;
use client::{BaseUrl, Client};
use serde_json::json;
use std::path::{Path, PathBuf};

/// How a server is attacked.
#[derive(Args)]
pub struct VerifyArguments {
    /// The server to attack; one of its own, on a temporary folder, where absent.
    #[arg(long, value_name = "URL", requires = "who")]
    url: Option<BaseUrl>,
    /// Another server on the same store: what the attacks begin from is made at the first, and they go to this one.
    #[arg(long, value_name = "URL", requires = "url")]
    other_url: Option<BaseUrl>,
    /// How the throwaway tenants are kept apart: `pooled`, `schema` or `dedicated`; as the server does by itself where
    /// absent.
    #[arg(long, value_name = "KIND", requires = "url")]
    isolation: Option<String>,
    /// The file with an operator's key for that server.
    #[arg(long, value_name = "FILE", requires = "url", group = "who")]
    operator_key_file: Option<PathBuf>,
    /// The file with a grant that the server's operator handed out: the suite then attacks with throwaway tenants
    /// of the grant, and says what only an operator can attack.
    #[arg(long, value_name = "FILE", requires = "url", group = "who", conflicts_with = "evidence")]
    grant_file: Option<PathBuf>,
    /// That server's log, to be searched for what may stand in no log.
    #[arg(long, value_name = "FILE", requires = "url")]
    log: Option<PathBuf>,
    /// That server's data folder, to be searched, too.
    #[arg(long, value_name = "DIR", requires = "url")]
    data: Option<PathBuf>,
    /// Attack the PostgreSQL database that a configuration names, by SQL as the roles that servers and tenants have,
    /// with throwaway tenants of each kind of isolation.
    #[arg(long, requires_all = ["config", "master_key_file"], conflicts_with_all = ["url", "evidence", "check"])]
    store: bool,
    /// That configuration, with `url` and `admin_url` under `[store]`.
    #[arg(long, value_name = "FILE", requires = "store")]
    config: Option<PathBuf>,
    /// The file of the master key that the database's servers are given.
    #[arg(long, value_name = "FILE", requires = "store")]
    master_key_file: Option<PathBuf>,
    /// Write the report into this file as JUnit does, for CI systems.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a report into this file that the operators' log vouches for: version, date, configuration and
    /// every pattern's outcome, to be kept and checked offline.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Also write the key of the operators' log into this file, by which the evidence is checked.
    #[arg(long, value_name = "FILE", requires = "evidence")]
    vkey_out: Option<PathBuf>,
    /// Check a file that `--evidence` wrote, without any server.
    #[arg(long, value_name = "FILE", requires = "vkey", conflicts_with_all = ["url", "junit", "evidence"])]
    check: Option<PathBuf>,
    /// The key of the operators' log, or a file that holds it.
    #[arg(long, value_name = "KEY", requires = "check")]
    vkey: Option<String>,
    /// The verifier key of a witness who has to have cosigned, or a file that holds it; may be given several
    /// times.
    #[arg(long, value_name = "KEY", requires = "check")]
    witness: Vec<String>,
    /// Try only patterns with this text in their name, `operation | place | attack`; may be given several times, and
    /// then all of the texts have to be in it.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["evidence", "check"])]
    only: Vec<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: VerifyArguments, around: &Surroundings) -> Ended {
    if let (Some(file), Some(key)) = (&arguments.check, &arguments.vkey) {
        return evidence::check(file, key, &arguments.witness, arguments.json);
    }
    if let (true, Some(config), Some(master_key)) =
        (arguments.store, arguments.config.clone(), arguments.master_key_file.clone())
    {
        let wanted = WantedAttack { config, master_key, only: Only(arguments.only) };
        let chosen = !wanted.only.0.is_empty();
        let report = around.offline.attack_store(wanted).await.map_err(Trouble::other)?;
        if report.surfaces.is_empty() && chosen {
            return Err(Trouble::other(VerifyError::NothingChosen));
        }
        return told(&report, arguments.junit.as_deref(), arguments.json);
    }
    let granted = arguments.grant_file.is_some();
    let VerifyArguments { url, operator_key_file, grant_file, log, data, junit, only, json: as_json, .. } =
        arguments;
    let (other, isolation) = (arguments.other_url.map(Client::new), arguments.isolation);
    let only = Only(only);
    let kept = Kept::new(arguments.evidence, arguments.vkey_out)?;
    let report = match (url, operator_key_file.or(grant_file)) {
        (Some(url), Some(file)) => {
            let operator_key = key(&file)?;
            let places = Places { log, data };
            let server =
                Attacked { places, outside: None, server: Server::Given, other, isolation, granted, only };
            attack(Client::new(url), operator_key, server, &kept, around, as_json).await?
        }
        _ => {
            let program = std::env::current_exe()?;
            let outside = Outside::listen().await?;
            let configuration = outside.configuration();
            let server = OwnServer::start(&program, None, "127.0.0.1:0", &configuration, &[]).await;
            let server = server.map_err(Trouble::other)?;
            let (client, key) = (Client::new(server.url.clone()), server.operator_key.clone());
            let places = server.places();
            let outside_hosts = Some(&outside);
            let own = Attacked {
                places,
                outside: outside_hosts,
                server: Server::Own,
                other: None,
                isolation: None,
                granted: false,
                only,
            };
            let report = tokio::select! {
                report = attack(client, key, own, &kept, around, as_json) => report,
                never = outside.serve() => match never {},
            };
            server.stop().await;
            report?
        }
    };
    told(&report, junit.as_deref(), as_json)
}

/// Says what was found.
fn told(report: &Report, junit: Option<&Path>, as_json: bool) -> Ended {
    if let Some(path) = junit {
        std::fs::write(path, report.junit())?;
    }
    if as_json {
        say_json(&json!(report))?
    } else {
        say(report.to_string())?
    }
    Ok(if report.is_bad_news() { News::Bad } else { News::Good })
}

/// What is attacked, and by whom.
struct Attacked<'o> {
    places: Places,
    outside: Option<&'o Outside>,
    server: Server,
    granted: bool,
    only: Only,
    other: Option<Client>,
    isolation: Option<String>,
}

async fn attack(
    client: Client,
    operator_key: secret::SecretText,
    attacked: Attacked<'_>,
    kept: &Kept,
    around: &Surroundings,
    quiet: bool,
) -> Result<Report, Trouble> {
    let Attacked { places, outside, server, other, isolation, granted, only } = attacked;
    let progress = Progress::new(quiet);
    let tell = |done: usize, total: usize| progress.tell(&format!("{done} of {total} attacks"));
    let operator = client.with_key(operator_key.clone());
    let run = kept.begin(&operator, &places, server, &around.env).await?;
    let env = around.env.clone();
    let options = Options {
        client,
        other,
        isolation,
        operator_key,
        granted,
        env,
        places,
        outside,
        only,
        progress: &tell,
    };
    let outcome = ::verify::run(options).await;
    progress.clear();
    let report = outcome.map_err(Trouble::other)?;
    if let Some(run) = run {
        kept.end(&operator, run, &report, &around.env).await?;
    }
    Ok(report)
}
