//! Verifying one event: that it is in a signed log, at its place.

use super::verify::log_of;
use crate::event::{LeafHead, MAX_LEAF_BYTES};
use crate::merkle::{self, Hash, InvalidProof, leaf_hash};
use crate::note::{CheckpointError, SignedCheckpoint, VerifierKey};

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
