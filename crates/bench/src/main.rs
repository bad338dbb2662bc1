//! `make bench`: starts the released server, loads it over loopback, and prints each figure beside what it must
//! reach and beside a baseline that was taken in the same run. Figures also go to `target/bench.json`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for people, with the real clock"
)]

mod crowd;
mod database;
mod figure;
mod inside;
mod load;
mod machine;
mod peers;
mod picture;
mod process;
mod relay;
mod rows;
mod upstream;
mod wire;

use anyhow::Context as _;
use clap::Parser;
use crowd::Crowd;
use database::Databases;
use figure::Figure;
use machine::Machine;
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

/// Measures a server from outside.
#[derive(Parser)]
struct Arguments {
    /// The rows to measure; all where none is named.
    rows: Vec<String>,
    /// The server.
    #[arg(long, default_value = "target/release/tenantry")]
    program: PathBuf,
    /// Measure the peers that `scripts/bench-peers` installed into this folder, and nothing else.
    #[arg(long, conflicts_with = "rows")]
    peers: Option<PathBuf>,
    /// There is no network but loopback, so that a peer which listens everywhere is heard by nobody.
    #[arg(long, requires = "peers")]
    alone_on_network: bool,
    /// Where a picture of the peers goes.
    #[arg(long, requires = "peers")]
    picture: Option<PathBuf>,
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// How often each measurement is taken, in alternation with its baseline.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many tenants are many.
    #[arg(long, default_value_t = 100_000)]
    tenants: usize,
    /// How many records and events of one tenant are many.
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// Measure a server on PostgreSQL, whose administrator this is: `host=… port=… user=… dbname=…`.
    #[arg(long, conflicts_with = "peers", value_name = "ADDRESS")]
    postgres: Option<String>,
    /// Be the relay in the middle that does nothing, for the server at this address.
    #[arg(long, hide = true, exclusive = true)]
    relay: Option<std::net::SocketAddr>,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(upstream) = arguments.relay {
        return relay::run(upstream);
    }
    let machine = Machine::look();
    println!("{machine}\n");
    let plan = rows::Plan {
        program: arguments.program.canonicalize().context("build the server first: cargo build --release")?,
        span: Duration::from_secs(arguments.seconds),
        rounds: arguments.rounds,
        cores: machine.split(),
        tenants: arguments.tenants,
        records: arguments.records,
        database: arguments.postgres.clone().map(Databases::new),
        crowd: RefCell::new(Crowd::new()?),
    };
    println!("{}", Figure::HEAD);
    let figures = match &arguments.peers {
        Some(folder) => {
            let figures = peers::all(&plan, folder, arguments.alone_on_network)?;
            figures.iter().for_each(|figure| println!("{figure}"));
            if let Some(path) = &arguments.picture {
                std::fs::write(path, picture::svg(&figures)).context("the picture")?;
            }
            figures
        }
        None => measure(&plan, &arguments.rows)?,
    };
    std::fs::write(&arguments.json, serde_json::to_vec_pretty(&figures)?)
        .with_context(|| format!("{} cannot be written", arguments.json.display()))?;
    println!("\nwritten to {}", arguments.json.display());
    Ok(())
}

fn measure(plan: &rows::Plan, named: &[String]) -> anyhow::Result<Vec<Figure>> {
    if let Some(unknown) = named.iter().find(|row| !rows::ALL.iter().any(|(name, _)| name == row)) {
        anyhow::bail!("there is no row `{unknown}`; there are {}", rows::names());
    }
    let mut figures = Vec::new();
    for (name, measure) in
        rows::ALL.iter().filter(|(name, _)| named.is_empty() || named.iter().any(|row| row == name))
    {
        for figure in measure(plan).with_context(|| format!("the row {name}"))? {
            println!("{figure}");
            figures.push(figure);
        }
    }
    Ok(figures)
}
