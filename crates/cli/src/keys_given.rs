//! Verifier keys, given as text or in a file.

use crate::output::Trouble;
use ::audit::note::{VerifierKey, WitnessVerifierKey};

/// A log's key.
pub(crate) fn verifier_key(text: &str) -> Result<VerifierKey, Trouble> {
    given(text).trim().parse().map_err(|error| Trouble::other(format!("the verifier key: {error}")))
}

/// Witnesses' keys.
pub(crate) fn witness_keys(texts: &[String]) -> Result<Vec<WitnessVerifierKey>, Trouble> {
    texts.iter().map(|text| witness_key(text)).collect()
}

/// A witness's key.
pub(crate) fn witness_key(text: &str) -> Result<WitnessVerifierKey, Trouble> {
    given(text).trim().parse().map_err(|error| Trouble::other(format!("a witness's key: {error}")))
}

/// What was given, or what the file of this name holds.
fn given(text: &str) -> String {
    std::fs::read_to_string(text).unwrap_or_else(|_| text.to_owned())
}
