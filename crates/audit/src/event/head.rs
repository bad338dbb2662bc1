//! The few fields of a leaf that verification reads, borrowed from its bytes.

use super::draft::Outcome;
use serde::Deserialize;

/// What a verifier must know of a leaf. The rest is skipped, not built.
#[derive(Debug, Deserialize)]
pub(crate) struct LeafHead<'a> {
    pub(crate) epoch: u64,
    pub(crate) event_id: &'a str,
    #[serde(default)]
    pub(crate) intent: Option<&'a str>,
    pub(crate) prev: &'a str,
    pub(crate) region: &'a str,
    pub(crate) result: Outcome,
    pub(crate) seq: u64,
    pub(crate) tenant: &'a str,
    pub(crate) time: &'a str,
    pub(crate) v: u8,
}

impl<'a> LeafHead<'a> {
    /// Reads a leaf. None where it is not a leaf of a version that this code knows.
    pub(crate) fn read(leaf: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(leaf).ok().filter(|head: &Self| head.v == super::LEAF_VERSION)
    }
}
