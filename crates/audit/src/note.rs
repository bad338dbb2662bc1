//! Signed notes (C2SP signed-note): text, a blank line, and a line for each signature. Checkpoints are
//! notes over a tree's size and root; witnesses add lines of their own.

mod add_checkpoint;
mod checkpoint;
mod cosignature;
mod heard;
mod key;
mod origin;

#[cfg(test)]
mod tests;

pub use add_checkpoint::{AddCheckpoint, AddCheckpointError, MAX_REQUEST_BYTES};
pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use cosignature::{Cosignature, WitnessKey, WitnessVerifierKey};
pub use heard::{Conflict, Heard};
pub use key::{KeyError, KeyName, LogKey, PublicKey, VerifierKey};
pub use origin::{Origin, OriginError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// The longest note that is read: sixteen of the longest signatures in use are about 110 kB.
const MAX_NOTE_BYTES: usize = 256 * 1024;
const MAX_SIGNATURES: usize = 100;
const SIGNATURE_MARK: &str = "— ";

/// A text and its signatures, of which none is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// One signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// The name of the key that is said to have signed.
    pub name: KeyName,
    /// The first four bytes of a hash over that key's name, type and bytes.
    pub key_id: u32,
    /// What the key's type says it is.
    pub signature: Vec<u8>,
}

/// Why a note is not one, or is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More bytes or signatures than a note may have here.
    #[error("the note is too long")]
    TooLong,
    /// Control characters, or no final newline.
    #[error("the note's text is malformed")]
    Text,
    /// No signature lines, or one that does not parse.
    #[error("a signature line of the note is malformed")]
    SignatureLine,
    /// No line is by the expected key.
    #[error("the note is not signed by {0}")]
    NotSigned(KeyName),
    /// A line claims the expected key, and is not by it.
    #[error("the signature by {0} is wrong")]
    WrongSignature(KeyName),
}

impl SignedNote {
    /// A note without signatures yet. `text` ends in a newline.
    pub fn new(text: String) -> Result<Self, NoteError> {
        let plain = text.chars().all(|letter| letter >= ' ' || letter == '\n');
        if plain && text.ends_with('\n') {
            Ok(Self { text, signatures: Vec::new() })
        } else {
            Err(NoteError::Text)
        }
    }

    /// The text, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in the order of their lines.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a signature, unless its line is there already.
    pub fn add(&mut self, line: SignatureLine) {
        if !self.signatures.contains(&line) {
            self.signatures.push(line);
        }
    }

    /// Checks that `key` signed. Lines by other keys are passed over, as the specification asks.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let mut signed = false;
        for line in self.signatures_by(key) {
            if !key.verifies(self.text.as_bytes(), &line.signature) {
                return Err(NoteError::WrongSignature(key.name().clone()));
            }
            signed = true;
        }
        if signed { Ok(()) } else { Err(NoteError::NotSigned(key.name().clone())) }
    }

    fn signatures_by<const TYPE: u8>(&self, key: &PublicKey<TYPE>) -> impl Iterator<Item = &SignatureLine> {
        self.signatures.iter().filter(|line| key.claims(line))
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        let end_of_text = note.rfind("\n\n").ok_or(NoteError::Text)? + 1;
        let (text, rest) = note.split_at(end_of_text);
        let mut parsed = Self::new(text.to_owned())?;
        let lines = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        for line in lines.ok_or(NoteError::SignatureLine)?.split('\n') {
            if parsed.signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooLong);
            }
            parsed.signatures.push(line.parse()?);
        }
        Ok(parsed)
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id.to_be_bytes(), self.signature.as_slice()].concat();
        write!(out, "{SIGNATURE_MARK}{} {}", self.name, STANDARD.encode(bytes))
    }
}

impl FromStr for SignatureLine {
    type Err = NoteError;

    fn from_str(line: &str) -> Result<Self, NoteError> {
        parse_signature(line).ok_or(NoteError::SignatureLine)
    }
}

fn parse_signature(line: &str) -> Option<SignatureLine> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (key_id, signature) = bytes.split_first_chunk()?;
    let signature = (!signature.is_empty()).then(|| signature.to_vec())?;
    Some(SignatureLine { name: name.parse().ok()?, key_id: u32::from_be_bytes(*key_id), signature })
}
