//! The table of commands.

use crate::offline::Surroundings;
use crate::output::exit_code;
use crate::{
    apply, audit, backup, demo, doctor, keys, operator_keys, runs, tenants, verify, verify_grants, witness,
};
use clap::Subcommand;
use std::process::ExitCode;

/// The commands besides `serve`.
#[derive(Subcommand)]
pub enum Command {
    /// Show it all: two tenants, one template, real runs, live in the terminal.
    Demo(demo::DemoArguments),
    /// Attack a server: try to get one tenant's data with another's credentials.
    Verify(Box<verify::VerifyArguments>),
    /// Watch audit logs for somebody else: keep their last checkpoints and cosign what grew from them.
    Witness(witness::WitnessArguments),
    /// Export audit logs, show them to witnesses, and check exports offline.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Back one tenant up into a file, or everything into a folder.
    Backup(backup::BackupArguments),
    /// Restore a tenant from a backup of its own, or everything on an empty machine.
    Restore(Box<backup::RestoreArguments>),
    /// Look whether this machine and a data folder are fit to serve.
    Doctor(doctor::DoctorArguments),
    /// Bring a server to what a file says: plans, endpoints, templates, tenants.
    Apply(apply::ApplyArguments),
    /// Make and administer tenants.
    Tenants(tenants::TenantsArguments),
    /// Make and revoke a tenant's API keys; rotate the master key.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Make and revoke the operators' own keys.
    OperatorKeys(operator_keys::OperatorKeysArguments),
    /// Make and revoke grants with which somebody else runs `verify`.
    VerifyGrants(verify_grants::VerifyGrantsArguments),
    /// Start, look at, cancel and retry a tenant's runs.
    Runs(runs::RunsArguments),
}

/// Runs a command to its end.
pub async fn run(command: Command, around: Surroundings) -> ExitCode {
    exit_code(match command {
        Command::Demo(arguments) => demo::run(arguments, &around).await,
        Command::Verify(arguments) => verify::run(*arguments, &around).await,
        Command::Witness(arguments) => witness::run(arguments, &around).await,
        Command::Audit(command) => audit::run(command).await,
        Command::Backup(arguments) => backup::back_up(arguments, &around).await,
        Command::Restore(arguments) => backup::restore(*arguments, &around).await,
        Command::Doctor(arguments) => doctor::run(&arguments, &around).await,
        Command::Apply(arguments) => apply::run(arguments).await,
        Command::Tenants(arguments) => tenants::run(arguments).await,
        Command::Keys(command) => keys::run(command, &around).await,
        Command::OperatorKeys(arguments) => operator_keys::run(arguments).await,
        Command::VerifyGrants(arguments) => verify_grants::run(arguments).await,
        Command::Runs(arguments) => runs::run(arguments).await,
    })
}
