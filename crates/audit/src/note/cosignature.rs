//! Cosignatures (C2SP tlog-cosignature, Ed25519): a witness says that at a time this was the largest
//! checkpoint of the log that it had seen, grown from all it saw before.

use super::key::{KeyName, PublicKey};
use super::{NoteError, SignatureLine, SignedCheckpoint};
use ed25519_dalek::{Signer, SigningKey};
use env::Timestamp;
use secret::SecretBytes;
use serde::Serialize;
use std::fmt;

/// Signature type of Ed25519 over a checkpoint and a time.
const COSIGNATURE: u8 = 0x04;

/// What checks a witness's cosignatures.
pub type WitnessVerifierKey = PublicKey<COSIGNATURE>;

/// A cosignature that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cosignature {
    /// Whose.
    pub witness: KeyName,
    /// When it was made, to the second, by the witness's clock.
    pub time: Timestamp,
}

/// The key of a witness. It does not print, and is wiped when dropped.
pub struct WitnessKey {
    key: SigningKey,
    public: WitnessVerifierKey,
}

impl WitnessKey {
    /// The key of the witness `name` whose Ed25519 seed this is. A seed serves one witness only, because
    /// what is signed does not say the witness's name.
    pub fn from_seed(name: KeyName, seed: &SecretBytes<32>) -> Self {
        let key = SigningKey::from_bytes(seed.expose());
        let public = PublicKey::new(name, key.verifying_key());
        Self { key, public }
    }

    /// What checks this witness's cosignatures.
    pub fn verifier(&self) -> &WitnessVerifierKey {
        &self.public
    }

    /// Cosigns a checkpoint. The caller has checked that it grew from the one that this witness last
    /// cosigned ([`super::Checkpoint::verify_growth`]). A moment before 1970 counts as 1970.
    pub fn cosign(&self, checkpoint: &SignedCheckpoint, now: Timestamp) -> SignatureLine {
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        let signature = self.key.sign(message(seconds, checkpoint.note().text()).as_bytes());
        let signature = [seconds.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        SignatureLine { name: self.public.name().clone(), key_id: self.public.id(), signature }
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WitnessKey({})", self.public.name())
    }
}

impl WitnessVerifierKey {
    /// Checks a line that claims this key.
    pub(super) fn open(&self, text: &str, line: &SignatureLine) -> Result<Cosignature, NoteError> {
        let opened = line.signature.split_first_chunk::<8>().and_then(|(seconds, signature)| {
            let seconds = u64::from_be_bytes(*seconds);
            let genuine = self.verifies(message(seconds, text).as_bytes(), signature);
            let millis = i64::try_from(seconds).ok()?.checked_mul(1000)?;
            genuine
                .then_some(Cosignature { witness: self.name().clone(), time: Timestamp::from_millis(millis) })
        });
        opened.ok_or_else(|| NoteError::WrongSignature(self.name().clone()))
    }
}

fn message(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}
