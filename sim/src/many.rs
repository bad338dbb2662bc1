//! Many seeds, each in a process of its own, so that nothing of one is left for the next.

use crate::Arguments;
use anyhow::Context as _;
use clap::ValueEnum as _;
use std::collections::VecDeque;
use std::env;
use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

/// Simulates so many seeds and says which did not keep what is promised. Whether all did.
pub(crate) fn run(arguments: &Arguments, count: u64) -> anyhow::Result<bool> {
    let at_once = available_parallelism().map_or(1, usize::from);
    let (mut under_way, mut failed) = (VecDeque::new(), Vec::new());
    let last = arguments.seed + count;
    for seed in arguments.seed..last {
        while under_way.len() >= at_once {
            finish(&mut under_way, &mut failed)?;
        }
        let times = if arguments.twice { 2 } else { 1 };
        let children = (0..times).map(|_| begin(arguments, seed)).collect::<anyhow::Result<Vec<_>>>()?;
        under_way.push_back((seed, children));
    }
    while !under_way.is_empty() {
        finish(&mut under_way, &mut failed)?;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{count} seeds, {} failed", failed.len())?;
    for seed in &failed {
        let mistake = named(arguments).map_or_else(String::new, |name| format!(" --mistake {name}"));
        writeln!(
            out,
            "seed {seed} failed; see what happens: cargo run -p sim -- --seed {seed} --log{mistake}"
        )?;
    }
    Ok(failed.is_empty())
}

/// The name of the mistake that is made, where one is.
fn named(arguments: &Arguments) -> Option<String> {
    Some(arguments.mistake?.to_possible_value()?.get_name().to_owned())
}

fn begin(arguments: &Arguments, seed: u64) -> anyhow::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("--seed").arg(seed.to_string()).stdout(Stdio::piped());
    if let Some(name) = named(arguments) {
        command.arg("--mistake").arg(name);
    }
    command.spawn().context("a simulation could not be started")
}

/// Waits for the seed that was begun first.
fn finish(under_way: &mut VecDeque<(u64, Vec<Child>)>, failed: &mut Vec<u64>) -> anyhow::Result<()> {
    let Some((seed, children)) = under_way.pop_front() else { return Ok(()) };
    let mut told = Vec::new();
    for child in children {
        let output = child.wait_with_output()?;
        told.push((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let mut out = io::stdout().lock();
    if let Some((_, text)) = told.first() {
        out.write_all(text.as_bytes())?;
    }
    let same = told.windows(2).all(|pair| pair[0].1 == pair[1].1);
    if !same {
        writeln!(out, "seed {seed}: two simulations differ: {told:?}")?;
    }
    if !same || told.iter().any(|(kept, _)| !kept) {
        failed.push(seed);
    }
    Ok(())
}
