//! `tenantry witness`: a process that watches logs of others.

use crate::offline::Surroundings;
use crate::output::{Ended, News, Trouble, say, say_json};
use ::witness::{Config, Witness, serve};
use clap::Args;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How a witness is started.
#[derive(Args)]
pub struct WitnessArguments {
    /// The configuration: the witness's `name`, and a `[[log]]` with `origin` and `vkey` for each log.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The folder with its key and the last checkpoints; made if it is not there. Whoever loses it begins
    /// anew under another name.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Where to listen, in place of what the configuration says; port 0 picks one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Print the first line as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: WitnessArguments, around: &Surroundings) -> Ended {
    around.offline.begin_to_serve().map_err(Trouble::other)?;
    let config = Config::load(&arguments.config).map_err(Trouble::other)?;
    let witness = Witness::open(&config, &arguments.state, around.env.clone()).map_err(Trouble::other)?;
    let listen = arguments.listen.unwrap_or(config.listen);
    let listener = TcpListener::bind(listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    if arguments.json {
        say_json(&json!({"listening": url, "vkey": witness.verifier().to_string()}))?;
    } else {
        say(format!("listening on {url}"))?;
        say(format!("cosigning as {}", witness.verifier()))?;
    }
    let stop = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    serve(listener, Arc::new(witness), stop).await;
    Ok(News::Good)
}
