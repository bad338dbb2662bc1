//! `tenantry audit cosign`: shows a tenant's log to a witness, as whoever audits the tenant, and keeps what the witness
//! cosigned. So a log that was rolled back or forked is seen by somebody who is neither the server nor its operator.

use crate::keys_given::{verifier_key, witness_key};
use crate::output::{Ended, News, Trouble, say, say_json};
use crate::server::TenantOptions;
use ::audit::merkle::Hash;
use ::audit::note::{AddCheckpoint, Conflict, Heard, SignedCheckpoint, VerifierKey, WitnessVerifierKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use client::{BaseUrl, Client};
use http::Method;
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a witness may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More than a hundred signature lines.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How often a witness may say that it has seen another size.
const TRIES: usize = 3;

/// Which log is shown to whom.
#[derive(Args)]
pub struct CosignArguments {
    #[command(flatten)]
    server: TenantOptions,
    /// The log's verifier key, or a file that holds it, as it was pinned once.
    #[arg(long, value_name = "KEY")]
    vkey: String,
    /// The witness's address.
    #[arg(long, value_name = "URL")]
    witness_url: BaseUrl,
    /// The witness's verifier key, or a file that holds it.
    #[arg(long, value_name = "KEY")]
    witness: String,
    /// Where the cosigned checkpoint is kept; the next run goes on from it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What there is to show: a checkpoint, and that it grew from the log of `old` events.
struct Shown {
    old: u64,
    proof: Vec<Hash>,
    signed: SignedCheckpoint,
}

/// What the log's key did not sign, or what the witness refused.
enum Bad {
    NotSigned(String),
    Conflict { conflict: Conflict, size: u64 },
}

pub(crate) async fn run(arguments: CosignArguments) -> Ended {
    let key = verifier_key(&arguments.vkey)?;
    let by = witness_key(&arguments.witness)?;
    let (log, witness) = (arguments.server.connect()?, Client::new(arguments.witness_url.clone()));
    let mut old = kept(&arguments.out, &key)?.map_or(0, |kept| kept.checkpoint().size);
    for _ in 0..TRIES {
        let shown = match shown(&log, &key, old).await? {
            Ok(shown) => shown,
            Err(text) => return told(&Bad::NotSigned(text), arguments.json),
        };
        match ask(&witness, &shown, &by).await? {
            Heard::Cosigned(line) => {
                let Shown { mut signed, .. } = shown;
                signed.add(line);
                return keep(&arguments, &by, &signed);
            }
            Heard::From(cosigned) => old = cosigned,
            Heard::Refused(conflict) => {
                let size = shown.signed.checkpoint().size;
                return told(&Bad::Conflict { conflict, size }, arguments.json);
            }
            Heard::Nothing(why) => return Err(Trouble::other(format!("{why} ({})", key.name()))),
        }
    }
    Err(Trouble::other("the witness named another size each time"))
}

/// The checkpoint that was cosigned last, where there is one.
fn kept(path: &Path, key: &VerifierKey) -> Result<Option<SignedCheckpoint>, Trouble> {
    let named = |error: &dyn std::fmt::Display| Trouble::other(format!("{}: {error}", path.display()));
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(&error)),
        Ok(text) => SignedCheckpoint::open(&text, key).map(Some).map_err(|error| named(&error)),
    }
}

/// The present checkpoint with the proof that it grew; or why the log's key did not sign what came.
async fn shown(log: &Client, key: &VerifierKey, old: u64) -> Result<Result<Shown, String>, Trouble> {
    let open = |note: Option<&str>| {
        SignedCheckpoint::open(note.unwrap_or_default(), key).map_err(|error| error.to_string())
    };
    let present = log.get("/v1/audit/checkpoint").await?;
    let signed = match open(present["checkpoint"].as_str()) {
        Ok(signed) => signed,
        Err(why) => return Ok(Err(why)),
    };
    let size = signed.checkpoint().size;
    if old == 0 || old >= size {
        // There is nothing to prove; a log that shrank is told by the witness, which has it in its hands then.
        return Ok(Ok(Shown { old: old.min(size), proof: Vec::new(), signed }));
    }
    let grown = log.get(&format!("/v1/audit/proof?size={old}")).await?;
    let hashes = grown["hashes"].as_array().into_iter().flatten();
    let hashes = hashes.map(|hash| Hash::try_from(STANDARD.decode(hash.as_str()?).ok()?).ok());
    let Some(proof) = hashes.collect::<Option<Vec<_>>>() else {
        return Err(Trouble::other("the proof that the log grew is none"));
    };
    Ok(open(grown["checkpoint"].as_str()).map(|signed| Shown { old, proof, signed }))
}

async fn ask(witness: &Client, shown: &Shown, by: &WitnessVerifierKey) -> Result<Heard, Trouble> {
    let Shown { old, proof, signed } = shown;
    let body = AddCheckpoint { old: *old, proof: proof.clone(), checkpoint: signed.to_string() }.text();
    let call = witness.call(Method::POST, "/add-checkpoint").body("text/plain", body.into());
    let answer = call.within(TIMEOUT).at_most(MAX_ANSWER_BYTES).send().await?;
    Ok(Heard::read((answer.status.as_u16(), &answer.text()), *old, signed, by))
}

/// Writes the cosigned checkpoint whole or not at all, and tells of it.
fn keep(arguments: &CosignArguments, by: &WitnessVerifierKey, signed: &SignedCheckpoint) -> Ended {
    let staged = arguments.out.with_extension("new");
    std::fs::write(&staged, signed.to_string())?;
    std::fs::rename(&staged, &arguments.out)?;
    let (file, size) = (arguments.out.display().to_string(), signed.checkpoint().size);
    let witness = by.name().as_str();
    if arguments.json {
        say_json(&json!({"cosigned": true, "size": size, "witness": witness, "file": file}))?;
    } else {
        say(format!("{witness} cosigned the log of {size} events: {file}"))?;
    }
    Ok(News::Good)
}

fn told(bad: &Bad, as_json: bool) -> Ended {
    let (kind, detail, size) = match bad {
        Bad::NotSigned(why) => {
            ("not_signed", format!("the server's checkpoint is not this log's: {why}"), None)
        }
        Bad::Conflict { conflict, size } => {
            let detail = match conflict {
                Conflict::RolledBack(cosigned) => {
                    format!("the witness cosigned {cosigned} events, and the log has {size}")
                }
                Conflict::Forked(cosigned) => {
                    format!(
                        "the first {cosigned} events of the log of {size} are others than the witness cosigned"
                    )
                }
                Conflict::Superseded => "the server was followed by another and must not run".to_owned(),
            };
            (conflict.kind(), detail, Some(size))
        }
    };
    if as_json {
        say_json(&json!({"cosigned": false, "conflict": kind, "size": size, "detail": detail}))?;
    } else {
        say(format!("NOT COSIGNED ({kind}): {detail}."))?;
    }
    Ok(News::Bad)
}
