//! Checkpoints (C2SP tlog-checkpoint): a log's size and root at one moment, signed.

use super::{
    Cosignature, NoteError, Origin, OriginError, SignatureLine, SignedNote, VerifierKey, WitnessVerifierKey,
};
use crate::merkle::{Hash, InvalidProof, verify_consistency};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// A log's size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many leaves it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Which of the servers that came one after the other signed it: a restore of a lost machine counts. The
    /// first is 1.
    pub generation: u64,
}

/// How the extension line begins that says the generation. The first generation has none.
const GENERATION: &str = "generation ";
/// The generation of a server that was never restored.
pub(super) const FIRST_GENERATION: u64 = 1;

/// Why a text is not a checkpoint of the expected log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or not signed by the log's key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not that of a checkpoint.
    #[error("the note is signed, but its text is not a checkpoint")]
    Malformed,
    /// The first line is not the origin of a log of ours.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The first line names another log than the one whose key was given.
    #[error("the checkpoint is of another log, {0}")]
    OtherLog(Origin),
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, each on a line, and the generation where it is not the
    /// first.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        if self.generation > FIRST_GENERATION {
            text += &format!("{GENERATION}{}\n", self.generation);
        }
        text
    }

    /// Checks that this log grew from the `earlier` one by appending alone.
    pub fn verify_growth(&self, earlier: &Self, proof: &[Hash]) -> Result<(), InvalidProof> {
        if earlier.origin != self.origin {
            return Err(InvalidProof::Inconsistent);
        }
        verify_consistency(earlier.size, earlier.root, self.size, self.root, proof)
    }

    pub(super) fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Malformed);
        };
        // Other extension lines are allowed, and signed, but say nothing that is read here.
        let mut generation = None;
        for line in lines {
            let said =
                line.strip_prefix(GENERATION).map(|said| whole(said).filter(|it| *it > FIRST_GENERATION));
            if line.is_empty() || said == Some(None) || said.is_some() && generation.is_some() {
                return Err(CheckpointError::Malformed);
            }
            generation = generation.or(said.flatten());
        }
        let generation = generation.unwrap_or(FIRST_GENERATION);
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        match (whole(size), root) {
            (Some(size), Some(root)) => Ok(Self { origin: origin.parse()?, size, root, generation }),
            _ => Err(CheckpointError::Malformed),
        }
    }
}

/// A number in the one form that it has.
fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A checkpoint that its log's key signed, with all signatures that came along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
    log_line: SignatureLine,
}

impl SignedCheckpoint {
    /// Reads a checkpoint and checks that `key` signed it and that it is of the log the key is named
    /// after.
    pub fn open(text: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let note: SignedNote = text.parse()?;
        note.verify(key)?;
        let log_line = note.signatures_by(key).next().cloned();
        let log_line = log_line.ok_or_else(|| NoteError::NotSigned(key.name().clone()))?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin.to_string() != key.name().as_str() {
            return Err(CheckpointError::OtherLog(checkpoint.origin));
        }
        Ok(Self { checkpoint, note, log_line })
    }

    pub(super) fn signed_by_log(checkpoint: Checkpoint, line: SignatureLine) -> Self {
        let note = SignedNote { text: checkpoint.text(), signatures: vec![line.clone()] };
        Self { checkpoint, note, log_line: line }
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note as it stands, whose text form is this checkpoint's.
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Adds a witness's line.
    pub fn add(&mut self, line: SignatureLine) {
        self.note.add(line);
    }

    /// The cosignatures by these witnesses, checked.
    pub fn cosignatures(&self, witnesses: &[WitnessVerifierKey]) -> Result<Vec<Cosignature>, NoteError> {
        let mut found = Vec::new();
        for witness in witnesses {
            for line in self.note.signatures_by(witness) {
                found.push(witness.open(self.note.text(), line)?);
            }
        }
        Ok(found)
    }

    /// How many lines are neither by the log nor by these witnesses, and so mean nothing here.
    pub fn unknown_signatures(&self, witnesses: &[WitnessVerifierKey]) -> usize {
        let known = |line: &SignatureLine| {
            let by_log = line.key_id == self.log_line.key_id && line.name == self.log_line.name;
            by_log || witnesses.iter().any(|witness| witness.claims(line))
        };
        self.note.signatures().iter().filter(|line| !known(line)).count()
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(out)
    }
}
