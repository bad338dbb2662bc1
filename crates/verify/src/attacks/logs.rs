//! Two audit logs that may not be taken for one another: whatever a tenant is given of its log verifies under its
//! own key and under no other, also with the other's name on it.

use super::{Attempt, Control, Job, judged};
use crate::pattern::Pattern;
use crate::seed::Fill;
use crate::side::Side;
use crate::world::World;
use audit::export::{Trust, verify_export, verify_proof};
use audit::note::{SignedCheckpoint, VerifierKey};
use http::Method;
use serde_json::Value;

/// What a log gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Checkpoint,
    Proof,
    Export,
}

pub(super) fn jobs<'w>(world: &'w World<'_>, control: &'w Control<'w>) -> Vec<Job<'w>> {
    let operation = control.operation;
    let piece = match operation.name().as_str() {
        "GET /v1/audit/checkpoint" => Piece::Checkpoint,
        "GET /v1/audit/proof" => Piece::Proof,
        "GET /v1/audit/export" => Piece::Export,
        _ => return Vec::new(),
    };
    let pattern = |attack| Pattern::new(operation, "answer", attack);
    let mut jobs = vec![
        Job::new(pattern("verified under the other's key"), mixed(world, control, (piece, false))),
        Job::new(pattern("verified under the other's key and id"), mixed(world, control, (piece, true))),
    ];
    if piece == Piece::Proof {
        let attack = "an event of one log with the other's checkpoint";
        jobs.push(Job::new(pattern(attack), spliced(world, control)));
    }
    jobs
}

/// The key that verifies a side's log.
async fn key(world: &World<'_>, side: &Side) -> Result<VerifierKey, String> {
    let client = world.client.with_key(side.key.clone());
    let answer = client.call(Method::GET, "/v1/audit/key").send().await.map_err(|error| error.to_string())?;
    answer.text().trim().parse().map_err(|error| format!("the owner's log has no key that reads: {error}"))
}

/// What a side is given.
async fn given(world: &World<'_>, control: &Control<'_>, side: &Side) -> Result<String, String> {
    let request = world.request(control.operation, side, Fill::new());
    Ok(world.ask(&request, side).await?.text().into_owned())
}

/// Whether it verifies under this key.
fn verifies(piece: Piece, text: &str, key: &VerifierKey) -> Result<(), String> {
    match piece {
        Piece::Checkpoint => {
            let read: Value = serde_json::from_str(text).unwrap_or(Value::Null);
            let note = read["checkpoint"].as_str().unwrap_or_default();
            SignedCheckpoint::open(note, key).map(drop).map_err(|error| error.to_string())
        }
        Piece::Proof => verify_proof(text, key, &[]).map(drop).map_err(|error| error.to_string()),
        Piece::Export => {
            verify_export(text.as_bytes(), &Trust::new(key)).map(drop).map_err(|error| error.to_string())
        }
    }
}

async fn mixed(world: &World<'_>, control: &Control<'_>, (piece, renamed): (Piece, bool)) -> Attempt {
    control.held()?;
    let sides = [&world.victim, &world.attacker];
    let keys = [key(world, sides[0]).await?, key(world, sides[1]).await?];
    for (at, side) in sides.into_iter().enumerate() {
        let (own, other) = (&keys[at], &keys[1 - at]);
        let text = given(world, control, side).await?;
        let text = if renamed { text.replace(&side.tenant, &sides[1 - at].tenant) } else { text };
        if verifies(piece, &text, other).is_ok() {
            return judged(Some("what one tenant is given verifies as the other's".to_owned()));
        }
        match verifies(piece, &text, own) {
            Err(fault) if !renamed => {
                return Err(format!("what an owner is given does not verify under its own key: {fault}"));
            }
            Ok(()) if renamed => {
                return judged(Some("a log verifies with another tenant's name on it".to_owned()));
            }
            _ => {}
        }
    }
    judged(None)
}

/// A proof whose parts are of two logs shows nothing, whichever key is asked.
async fn spliced(world: &World<'_>, control: &Control<'_>) -> Attempt {
    control.held()?;
    let sides = [&world.victim, &world.attacker];
    let keys = [key(world, sides[0]).await?, key(world, sides[1]).await?];
    let mut proofs = Vec::new();
    for side in sides {
        let text = given(world, control, side).await?;
        proofs.push(serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())?);
    }
    for (at, own) in keys.iter().enumerate() {
        if verify_proof(&proofs[at].to_string(), own, &[]).is_err() {
            return Err("an event's proof does not verify under its owner's key".to_owned());
        }
        for part in ["checkpoint", "leaf", "hashes"] {
            let mut proof = proofs[at].clone();
            proof[part] = proofs[1 - at][part].clone();
            if keys.iter().any(|key| verify_proof(&proof.to_string(), key, &[]).is_ok()) {
                return judged(Some(format!("a proof holds with the other log's `{part}`")));
            }
        }
    }
    judged(None)
}
