//! Servers and workers on a simulated network in simulated time, from a seed: the real router, scheduler and workers,
//! with crashes, standstills, partitions, delays and duplicates, and with somebody who watches.
//!
//! `cargo run -p sim -- --seed 7 --log` shows what happens with one seed; `--seeds 1000` tries many.

mod bell;
mod callers;
mod chance;
mod dice;
mod founding;
mod limits;
mod log;
mod mail;
mod many;
mod mistakes;
mod models;
mod network;
mod node;
mod outside;
mod plan;
mod process;
mod simulation;
mod truth;
mod watch;
mod world;

use anyhow::Context as _;
use clap::Parser;
use mistakes::Mistake;
use simulation::{Outcome, simulate};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::{env, fs, thread};

/// Simulates servers and workers.
#[derive(Parser)]
struct Arguments {
    /// The seed of one simulation.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shows its log.
    #[arg(long)]
    log: bool,
    /// Simulates so many seeds, from that of `--seed` on, each in a process of its own.
    #[arg(long, conflicts_with = "log")]
    seeds: Option<u64>,
    /// Simulates each seed twice and compares the logs.
    #[arg(long, requires = "seeds")]
    twice: bool,
    /// What is done wrong throughout.
    #[arg(long, value_enum)]
    mistake: Option<Mistake>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let kept = match arguments.seeds {
        Some(count) => many::run(&arguments, count)?,
        None => one(&arguments)?,
    };
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Simulates one seed and says what came of it. Whether all promises were kept.
fn one(arguments: &Arguments) -> anyhow::Result<bool> {
    let Arguments { seed, log, mistake, .. } = *arguments;
    chance::begin(seed);
    let scratch = env::temp_dir().join(format!("tenantry-sim-{}", std::process::id()));
    let folder = scratch.clone();
    // Maps have the keys of the thread that makes them: this one's are of the seed.
    let simulation = thread::Builder::new().name("simulation".into());
    let simulation = simulation.spawn(move || simulate(seed, mistake, (log, &folder)))?;
    let outcome = simulation.join().ok().context("the simulation fell over")?;
    match fs::remove_dir_all(&scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let Outcome { findings, tally, digest, millis } = outcome?;
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "seed {seed}: {finding}")?;
    }
    writeln!(out, "seed {seed}: {} findings, {millis} ms, {tally}, log {digest}", findings.len())?;
    Ok(findings.is_empty())
}
