//! The table of commands.

use crate::offline::Surroundings;
use crate::output::exit_code;
use crate::verify;
use clap::Subcommand;
use std::process::ExitCode;

/// The commands besides `serve`.
#[derive(Subcommand)]
pub enum Command {
    /// Attack a server: try to get one tenant's data with another's credentials.
    Verify(verify::VerifyArguments),
}

/// Runs a command to its end.
pub async fn run(command: Command, around: Surroundings) -> ExitCode {
    exit_code(match command {
        Command::Verify(arguments) => verify::run(arguments, &around).await,
    })
}
