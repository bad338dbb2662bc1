//! `tenantry audit`: exports a tenant's log, shows it to a witness, and verifies an export without any server.

use crate::cosign::{self, CosignArguments};
use crate::keys_given::{verifier_key, witness_keys};
use crate::output::{Ended, News, Trouble, say, say_json};
use crate::server::TenantOptions;
use ::audit::export::{Proven, Report, Trust, verify_export, verify_proof};
use ::audit::note::{Cosignature, WitnessVerifierKey};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is done with audit logs.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Check an export offline: that its events are exactly those that the log signed, in order.
    Verify(VerifyArguments),
    /// Take a tenant's whole log away, as lines of JSON.
    Export(ExportArguments),
    /// Show a tenant's log to a witness, and keep the checkpoint that it cosigned.
    Cosign(CosignArguments),
}

/// What an export is checked against.
#[derive(Args)]
pub struct VerifyArguments {
    /// The export.
    #[arg(value_name = "FILE", required_unless_present = "proof")]
    file: Option<PathBuf>,
    /// A file with the proof of one event, as `GET /v1/audit/proof?index=N` answers it, in place of an export.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "checkpoint"])]
    proof: Option<PathBuf>,
    /// The log's verifier key, or a file that holds it.
    #[arg(long, value_name = "KEY")]
    vkey: String,
    /// A file with a checkpoint that was kept from before, as `audit cosign` writes it.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The verifier key of a witness, or a file that holds it; may be given several times.
    #[arg(long, value_name = "KEY")]
    witness: Vec<String>,
    /// Refuse what not every one of these witnesses has cosigned.
    #[arg(long, requires = "witness")]
    require_witnesses: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What is exported, and where to.
#[derive(Args)]
pub struct ExportArguments {
    #[command(flatten)]
    server: TenantOptions,
    /// The file to write; standard output where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the log's verifier key into this file.
    #[arg(long, value_name = "FILE")]
    vkey_out: Option<PathBuf>,
    /// Say what was written as JSON; needs `--out`.
    #[arg(long, requires = "out")]
    json: bool,
}

const EXPORT: Duration = Duration::from_secs(600);

pub(crate) async fn run(command: AuditCommand) -> Ended {
    match command {
        AuditCommand::Verify(arguments) => verify(&arguments),
        AuditCommand::Export(arguments) => export(arguments).await,
        AuditCommand::Cosign(arguments) => cosign::run(arguments).await,
    }
}

fn verify(arguments: &VerifyArguments) -> Ended {
    let key = verifier_key(&arguments.vkey)?;
    let witnesses = witness_keys(&arguments.witness)?;
    if let Some(proof) = &arguments.proof {
        return match verify_proof(&read(proof)?, &key, &witnesses) {
            Ok(proven) => match missing(arguments, &witnesses, &proven.witnesses) {
                Some(missing) => bad("not_witnessed", None, &missing, arguments.json),
                None => good_proof(&proven, arguments.json),
            },
            Err(fault) if fault.is_bad_news() => bad("proof", None, &fault, arguments.json),
            Err(fault) => Err(Trouble::other(fault)),
        };
    }
    let Some(file) = &arguments.file else { return Err(Trouble::other("Name an export or a proof.")) };
    let earlier = arguments.checkpoint.as_deref().map(read).transpose()?;
    let mut trust = Trust::new(&key).witnesses(&witnesses);
    if let Some(earlier) = &earlier {
        trust = trust.earlier(earlier);
    }
    let opened = File::open(file).map_err(|error| Trouble::other(format!("{}: {error}", file.display())))?;
    match verify_export(BufReader::new(opened), &trust) {
        Ok(report) => match missing(arguments, &witnesses, &report.all_witnesses()) {
            Some(missing) => bad("not_witnessed", None, &missing, arguments.json),
            None => good(&report, arguments.json),
        },
        Err(fault) if fault.is_bad_news() => bad(fault.code(), fault.line(), &fault, arguments.json),
        Err(fault) => Err(Trouble::other(fault)),
    }
}

/// What is said where a witness has to have cosigned and has not.
fn missing(
    arguments: &VerifyArguments,
    wanted: &[WitnessVerifierKey],
    found: &[Cosignature],
) -> Option<String> {
    let all = wanted.iter().filter(|_| arguments.require_witnesses);
    let mut all = all.filter(|key| !found.iter().any(|found| found.witness == *key.name()));
    all.next().map(|key| format!("the witness {} did not cosign the log", key.name()))
}

fn good_proof(proven: &Proven, as_json: bool) -> Ended {
    if as_json {
        let witnessed = !proven.witnesses.is_empty();
        say_json(&json!({"verified": true, "witnessed": witnessed, "proof": proven}))?;
    } else {
        say(proven.to_string().trim_end())?;
    }
    Ok(News::Good)
}

fn good(report: &Report, as_json: bool) -> Ended {
    if as_json {
        say_json(&json!({"verified": true, "witnessed": report.witnessed(), "report": report}))?;
    } else {
        say(report.to_string().trim_end())?;
    }
    Ok(News::Good)
}

fn bad(code: &str, line: Option<u64>, fault: &dyn std::fmt::Display, as_json: bool) -> Ended {
    if as_json {
        say_json(&json!({"verified": false, "code": code, "line": line, "detail": fault.to_string()}))?;
    } else {
        say(format!("NOT VERIFIED: {fault}."))?;
    }
    Ok(News::Bad)
}

fn read(path: &Path) -> Result<String, Trouble> {
    std::fs::read_to_string(path).map_err(|error| Trouble::other(format!("{}: {error}", path.display())))
}

async fn export(arguments: ExportArguments) -> Ended {
    let client = arguments.server.connect()?;
    if let Some(path) = &arguments.vkey_out {
        let key = client.call(Method::GET, "/v1/audit/key").send().await?.accepted()?;
        std::fs::write(path, format!("{}\n", key.text().trim()))?;
    }
    let call = client.call(Method::GET, "/v1/audit/export?format=jsonl").within(EXPORT);
    let log = call.send().await?.accepted()?;
    let Some(path) = &arguments.out else {
        std::io::stdout().lock().write_all(&log.body)?;
        return Ok(News::Good);
    };
    std::fs::write(path, &log.body)?;
    let lines = log.body.iter().filter(|byte| **byte == b'\n').count();
    let (events, name) = (lines.saturating_sub(1), path.display());
    if arguments.json {
        say_json(&json!({"file": name.to_string(), "events": events}))?;
    } else {
        say(format!("{events} events in {name}"))?;
    }
    Ok(News::Good)
}
