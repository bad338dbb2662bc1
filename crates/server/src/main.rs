//! `tenantry`: one binary. This file only decides which command runs.

mod config;
mod failures;
mod first_start;
mod logging;
mod models;
mod serve;
mod system;
mod wiring;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Under a SaaS company's AI agents, where every tenant is isolated by construction.
#[derive(Parser)]
#[command(name = "tenantry", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArguments),
}

/// The command could not run, as against having run with bad news.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return logging::complain(&format!("The runtime did not start: {error}.")),
    };
    let outcome = match arguments.command {
        Command::Serve(serve) => runtime.block_on(serve::run(serve)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            logging::complain(&problem.to_string());
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}
