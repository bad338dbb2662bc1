//! The body by which a log asks a witness to cosign (C2SP tlog-witness, `add-checkpoint`): an old size, proof
//! lines, an empty line, a checkpoint.

use crate::merkle::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// The most bytes of a request: 63 proof lines and a note with a hundred signatures are far below.
pub const MAX_REQUEST_BYTES: usize = 128 * 1024;
/// The most proof lines: a tree has at most 2^63 leaves.
const MAX_PROOF_LINES: usize = 63;

/// A request, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness last cosigned, as the caller believes.
    pub old: u64,
    /// The consistency proof from there (RFC 6962, section 2.1.2).
    pub proof: Vec<Hash>,
    /// The checkpoint, a signed note.
    pub checkpoint: String,
}

/// The body is not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// It is longer than a request can be.
    #[error("the request is longer than {MAX_REQUEST_BYTES} bytes")]
    TooLong,
    /// The first line is not `old`, a space and a number.
    #[error("the first line is not `old`, a space and a size in decimal")]
    OldSize,
    /// A proof line is not a hash in base64, or there are too many.
    #[error("a proof line is not a hash in base64, or there are more than {MAX_PROOF_LINES}")]
    Proof,
    /// There is no empty line, and so no checkpoint.
    #[error("there is no empty line with a checkpoint after it")]
    NoCheckpoint,
}

impl AddCheckpoint {
    /// Reads a body.
    pub fn read(body: &str) -> Result<Self, AddCheckpointError> {
        if body.len() > MAX_REQUEST_BYTES {
            return Err(AddCheckpointError::TooLong);
        }
        let (head, checkpoint) = body.split_once("\n\n").ok_or(AddCheckpointError::NoCheckpoint)?;
        let mut lines = head.split('\n');
        let old =
            lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(AddCheckpointError::OldSize)?;
        // No sign and no leading zeroes: written again it is the same text.
        let number = old.parse::<u64>().ok().filter(|number| number.to_string() == old);
        let old = number.ok_or(AddCheckpointError::OldSize)?;
        let proof = lines.map(|line| {
            let bytes = STANDARD.decode(line).ok()?;
            Hash::try_from(bytes).ok()
        });
        let proof = proof.collect::<Option<Vec<_>>>().ok_or(AddCheckpointError::Proof)?;
        if proof.len() > MAX_PROOF_LINES {
            return Err(AddCheckpointError::Proof);
        }
        Ok(Self { old, proof, checkpoint: checkpoint.to_owned() })
    }

    /// The body.
    pub fn text(&self) -> String {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.proof {
            // Writing into a text does not fail.
            let _ = writeln!(text, "{}", STANDARD.encode(hash));
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }
}
