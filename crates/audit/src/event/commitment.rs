//! Salted commitments: a leaf says which value it means without saying the value.

use super::draft::Draft;
use crate::merkle::Hash;
use env::Env;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

pub(super) const IP: &str = "ip";
pub(super) const REASONING: &str = "reasoning";
pub(super) const USER_AGENT: &str = "user_agent";
/// What stands before the names of the draft's `personal` values.
pub(super) const PERSONAL: &str = "personal.";

/// A value that a leaf commits to, and the salt without which the commitment says nothing about it.
/// Erasing a value means deleting both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclosure {
    /// The field: `ip`, `user_agent`, `reasoning` or `personal.` and a name.
    pub field: String,
    /// 32 random bytes, in hexadecimal where it is text.
    #[serde(serialize_with = "as_hex", deserialize_with = "from_hex")]
    pub salt: [u8; 32],
    /// The value.
    pub value: String,
}

impl Disclosure {
    /// SHA-256 over the salt and the value, as the leaf has it.
    pub fn commitment(&self) -> Hash {
        Sha256::new().chain_update(self.salt).chain_update(&self.value).finalize().into()
    }
}

impl fmt::Debug for Disclosure {
    /// Only the field: the value is personal, and the salt opens the commitment to guesses.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Disclosure({})", self.field)
    }
}

/// Takes the personal and long values out of a draft, each with a fresh salt, sorted by field.
pub(super) fn take_disclosures(draft: &mut Draft, env: &Env) -> Vec<Disclosure> {
    let plain = [
        (IP, draft.ip.take().map(|ip| ip.to_string())),
        (REASONING, draft.reasoning.take()),
        (USER_AGENT, draft.user_agent.take()),
    ];
    let plain = plain.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?)));
    let personal = std::mem::take(&mut draft.personal).into_iter();
    let personal = personal.map(|(name, value)| (format!("{PERSONAL}{name}"), value));
    let mut values: Vec<(String, String)> = plain.chain(personal).collect();
    values.sort_unstable();
    // One call for all salts, because each asks the system.
    let mut salts = vec![0; values.len() * 32];
    env.fill(&mut salts);
    let (salts, _) = salts.as_chunks::<32>();
    let salted = values.into_iter().zip(salts);
    salted.map(|((field, value), salt)| Disclosure { field, salt: *salt, value }).collect()
}

/// The commitments as the leaf has them.
pub(super) fn commitments(disclosures: &[Disclosure]) -> BTreeMap<&str, String> {
    let texts = disclosures.iter();
    texts.map(|found| (found.field.as_str(), hex::encode(found.commitment()))).collect()
}

fn as_hex<S: Serializer>(salt: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(salt))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let mut salt = [0; 32];
    hex::decode_to_slice(String::deserialize(deserializer)?, &mut salt).map_err(de::Error::custom)?;
    Ok(salt)
}
