//! `tenantry`: one binary. This file only decides which command runs.

mod administrator;
mod background;
mod config;
mod escrow;
mod failures;
mod first_start;
mod limits;
mod logging;
mod messages;
mod models;
mod offline;
mod own_worker;
mod restore;
mod serve;
mod store_attack;
mod stores;
mod system;
mod wiring;
mod witnesses;
mod work;

use clap::{Parser, Subcommand};
use cli::Surroundings;
use mimalloc::MiMalloc;
use std::process::ExitCode;
use std::sync::Arc;

/// A server makes and drops hundreds of small values for each request, on several threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    Serve(Box<serve::ServeArguments>),
    /// Make and remove the schemas and databases of tenants that have their own, as servers ask for them.
    Provisioner(administrator::ProvisionerArguments),
    /// Make the PostgreSQL database that servers share.
    #[command(subcommand)]
    Store(administrator::StoreCommand),
    /// Carry runs out beside servers that share a database. The embedded store runs its worker inside `serve`.
    Worker(Box<serve::WorkerArguments>),
    /// Start tenants' own workers, and give them what they have.
    #[command(subcommand)]
    Workers(own_worker::commands::WorkersCommand),
    #[command(flatten)]
    Other(cli::Command),
}

/// The command could not run, as against having run with bad news.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return logging::complain(&format!("The runtime did not start: {error}.")),
    };
    match arguments.command {
        Command::Serve(serve) => match runtime.block_on(serve::run(*serve)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => logging::complain(&problem.to_string()),
        },
        Command::Store(command) => ended(runtime.block_on(administrator::run(command))),
        Command::Provisioner(arguments) => ended(runtime.block_on(administrator::provision(arguments))),
        Command::Workers(command) => ended(runtime.block_on(own_worker::commands::run(command))),
        Command::Worker(process) => match runtime.block_on(serve::work(*process)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => logging::complain(&problem.to_string()),
        },
        Command::Other(command) => {
            let offline = Arc::new(offline::DataFolder);
            runtime.block_on(cli::run(command, Surroundings { env: system::env(), offline }))
        }
    }
}

fn ended(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => logging::complain(&problem),
    }
}
