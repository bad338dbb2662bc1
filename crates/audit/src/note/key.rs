//! The keys that sign notes, and their public halves as text ("vkeys").

use super::checkpoint::FIRST_GENERATION;
use super::{Checkpoint, NoteError, Origin, SignatureLine, SignedCheckpoint, SignedNote};
use crate::merkle::Hash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use secret::SecretBytes;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Signature type of Ed25519 over a note's text (C2SP signed-note, "Signature types").
pub(super) const NOTE_SIGNATURE: u8 = 0x01;
/// The longest vkey that is read.
const MAX_KEY_TEXT: usize = 1024;

/// The name of a key: not empty, without spaces, control characters and plus signs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// Why a text is not a key or a key's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is empty, or has spaces, control characters or plus signs.
    #[error("a key's name is not empty and has no spaces and no plus signs")]
    Name,
    /// Not of the form name, plus, eight hexadecimal digits, plus, base64.
    #[error("not a verifier key of the form name+hash+key")]
    Malformed,
    /// The key is of another type than is wanted here.
    #[error("the key is of another type than is wanted here")]
    OtherType,
    /// The hash in the text does not belong to the name and the key: one of them was mistyped.
    #[error("the key's hash does not belong to its name and bytes: was it copied whole?")]
    WrongHash,
}

impl KeyName {
    /// An origin has none of the letters that a name may not have.
    pub(super) fn of_origin(origin: &Origin) -> Self {
        Self(origin.to_string())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let allowed = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '+';
        if !text.is_empty() && text.len() <= MAX_KEY_TEXT && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError::Name)
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The public half of an Ed25519 key that makes signatures of one type. Its text form is the vkey that
/// people pin: name, `+`, key id in hexadecimal, `+`, base64 of type and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey<const TYPE: u8> {
    name: KeyName,
    id: u32,
    key: VerifyingKey,
}

/// What checks a log's own signatures.
pub type VerifierKey = PublicKey<NOTE_SIGNATURE>;

impl<const TYPE: u8> PublicKey<TYPE> {
    pub(crate) fn new(name: KeyName, key: VerifyingKey) -> Self {
        let hash = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', TYPE])
            .chain_update(key.as_bytes())
            .finalize();
        let id = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        Self { name, id, key }
    }

    /// The key's name. A log's key is named after its origin.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key of these bytes that is named after this log: that of the same log in another epoch.
    pub fn named_after(&self, log: &Origin) -> Self {
        Self::new(KeyName::of_origin(log), self.key)
    }

    /// The short hash by which signature lines refer to the key.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether the line says that it is by this key.
    pub(super) fn claims(&self, line: &SignatureLine) -> bool {
        line.key_id == self.id && line.name == self.name
    }

    /// Whether the signature is by this key, over this message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl<const TYPE: u8> fmt::Display for PublicKey<TYPE> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[TYPE], self.key.as_bytes().as_slice()].concat();
        write!(out, "{}+{:08x}+{}", self.name, self.id, STANDARD.encode(bytes))
    }
}

impl<const TYPE: u8> FromStr for PublicKey<TYPE> {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY_TEXT {
            return Err(KeyError::Malformed);
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Malformed)?;
        let (kind, key) = bytes.split_first().ok_or(KeyError::Malformed)?;
        if *kind != TYPE {
            return Err(KeyError::OtherType);
        }
        let key = <[u8; 32]>::try_from(key).map_err(|_| KeyError::Malformed)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| KeyError::Malformed)?;
        let parsed = Self::new(name.parse()?, key);
        if id == format!("{:08x}", parsed.id) { Ok(parsed) } else { Err(KeyError::WrongHash) }
    }
}

/// The key that signs one log's checkpoints. It does not print, and is wiped when dropped.
pub struct LogKey {
    origin: Origin,
    generation: u64,
    key: SigningKey,
    public: VerifierKey,
}

impl LogKey {
    /// The key of the log `origin` whose Ed25519 seed this is.
    pub fn from_seed(origin: Origin, seed: &SecretBytes<32>) -> Self {
        let key = SigningKey::from_bytes(seed.expose());
        let public = PublicKey::new(KeyName::of_origin(&origin), key.verifying_key());
        Self { origin, generation: FIRST_GENERATION, key, public }
    }

    /// The same key, which says of this generation what it signs.
    #[must_use]
    pub fn of_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// What checks this key's signatures.
    pub fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// The log that this key signs for.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Signs that the log has `size` leaves under `root`. A log signs nothing that does not grow from
    /// what it signed before, and nothing that is not durable yet: the caller sees to both.
    pub fn sign(&self, size: u64, root: Hash) -> SignedCheckpoint {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root, generation: self.generation };
        let signature = self.key.sign(checkpoint.text().as_bytes()).to_bytes().to_vec();
        let line = SignatureLine { name: self.public.name.clone(), key_id: self.public.id, signature };
        SignedCheckpoint::signed_by_log(checkpoint, line)
    }

    /// Signs a text that says by its first line that it is no checkpoint: that line is no log's origin.
    pub(crate) fn sign_text(&self, text: String) -> Result<SignedNote, NoteError> {
        if text.lines().next().is_none_or(|first| first.parse::<Origin>().is_ok()) {
            return Err(NoteError::Text);
        }
        let mut note = SignedNote::new(text)?;
        let signature = self.key.sign(note.text().as_bytes()).to_bytes().to_vec();
        note.add(SignatureLine { name: self.public.name.clone(), key_id: self.public.id, signature });
        Ok(note)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LogKey({})", self.origin)
    }
}
