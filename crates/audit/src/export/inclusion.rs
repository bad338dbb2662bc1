//! Verifying one event: that it is in a signed log, at its place.

use super::verify::log_of;
use crate::event::{LeafHead, MAX_LEAF_BYTES};
use crate::merkle::{self, Hash, InvalidProof, leaf_hash};
use crate::note::{
    CheckpointError, Cosignature, NoteError, Origin, SignedCheckpoint, VerifierKey, WitnessVerifierKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why an event is not shown to be in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InclusionFault {
    /// The key is not named after a log.
    #[error("the key {name} is not the key of a Tenantry log")]
    NotALogKey {
        /// The key's name.
        name: String,
    },
    /// The checkpoint is not one that this log signed.
    #[error("the checkpoint cannot be trusted: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The text is not a proof as the server gives it.
    #[error("the text is not an event's proof: {0}")]
    Unreadable(String),
    /// A witness's cosignature does not hold.
    #[error("a cosignature does not hold: {0}")]
    Cosignature(#[source] NoteError),
    /// The bytes are not an event.
    #[error("the bytes are not an event of an audit log")]
    NotAnEvent,
    /// The event is of another tenant's log, or of another of the tenant's logs.
    #[error("the event is of another log than the checkpoint")]
    OtherLog,
    /// The event says another place than it is claimed to have.
    #[error("the event says that it is event {found}, not {claimed}")]
    OtherPlace {
        /// The place that was claimed.
        claimed: u64,
        /// The place that the event says.
        found: u64,
    },
    /// The proof does not lead from the event to the checkpoint's root.
    #[error("the proof does not hold: {0}")]
    Proof(#[from] InvalidProof),
}

impl InclusionFault {
    /// Whether it says something about the log, and not only about what was given.
    pub fn is_bad_news(&self) -> bool {
        !matches!(self, Self::NotALogKey { .. } | Self::Unreadable(_))
    }
}

/// An event that is in a signed log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// Which log.
    pub log: Origin,
    /// The event's place, from 0.
    pub index: u64,
    /// The exact leaf.
    pub leaf: String,
    /// How many events the log has by the checkpoint.
    pub size: u64,
    /// The witnesses who cosigned the checkpoint and whose keys were given.
    pub witnesses: Vec<Cosignature>,
}

impl fmt::Display for Proven {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, index, leaf, size, witnesses } = self;
        writeln!(out, "Event {index} is in the log of {size} events that {log} signed.")?;
        writeln!(out, "{leaf}")?;
        for Cosignature { witness, time } in witnesses {
            writeln!(out, "The witness {witness} cosigned at {time}.")?;
        }
        if witnesses.is_empty() {
            writeln!(out, "No outside witness is seen.")?;
        }
        Ok(())
    }
}

/// An event's proof as `GET /v1/audit/proof?index=` answers it.
#[derive(Deserialize)]
struct Given {
    index: u64,
    leaf: String,
    hashes: Vec<String>,
    checkpoint: String,
}

/// Checks an event's proof as the server gives it: that the event is in the log that `key` signs for.
pub fn verify_proof(
    text: &str,
    key: &VerifierKey,
    witnesses: &[WitnessVerifierKey],
) -> Result<Proven, InclusionFault> {
    let unreadable = |reason: &dyn fmt::Display| InclusionFault::Unreadable(reason.to_string());
    let given: Given = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let hash = |text: &String| {
        let bytes = STANDARD.decode(text).map_err(|error| unreadable(&error))?;
        Hash::try_from(bytes).map_err(|_| unreadable(&"a hash does not have 32 bytes"))
    };
    let hashes = given.hashes.iter().map(hash).collect::<Result<Vec<_>, _>>()?;
    let signed = verify_inclusion(given.leaf.as_bytes(), given.index, &hashes, &given.checkpoint, key)?;
    let name = key.name().to_string();
    Ok(Proven {
        log: log_of(key).map_err(|_| InclusionFault::NotALogKey { name })?,
        index: given.index,
        size: signed.checkpoint().size,
        witnesses: signed.cosignatures(witnesses).map_err(InclusionFault::Cosignature)?,
        leaf: given.leaf,
    })
}

/// Checks that `leaf` is event `index` of the log that `key` signs for, by the proof and the signed
/// checkpoint that came with it. Answers the checkpoint, whose cosignatures are still to be looked at.
pub fn verify_inclusion(
    leaf: &[u8],
    index: u64,
    proof: &[Hash],
    checkpoint: &str,
    key: &VerifierKey,
) -> Result<SignedCheckpoint, InclusionFault> {
    let name = key.name().to_string();
    let log = log_of(key).map_err(|_| InclusionFault::NotALogKey { name })?;
    let signed = SignedCheckpoint::open(checkpoint, key)?;
    let fits = leaf.len() <= MAX_LEAF_BYTES;
    let head = LeafHead::read(leaf).filter(|_| fits).ok_or(InclusionFault::NotAnEvent)?;
    let same_log = head.tenant == log.tenant.to_string()
        && head.region == log.region.as_str()
        && head.epoch == log.epoch;
    if !same_log {
        return Err(InclusionFault::OtherLog);
    }
    if head.seq != index {
        return Err(InclusionFault::OtherPlace { claimed: index, found: head.seq });
    }
    let tree = signed.checkpoint();
    merkle::verify_inclusion(leaf_hash(leaf), index, tree.size, proof, tree.root)?;
    Ok(signed)
}
