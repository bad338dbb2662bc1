//! A log as a file, and its verification without us.
//!
//! Every line is an exact leaf, but the last, which is `{"checkpoint":"…"}`: the signed note over the
//! lines before it. [`verify_export`] needs the file, the log's key and, to see that a log was not
//! rewritten as a whole, a checkpoint from an earlier day or a witness's key.

mod chain;
mod fault;
mod inclusion;
mod leaves;
mod report;
mod verify;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use inclusion::{InclusionFault, Proven, verify_inclusion, verify_proof};
pub use leaves::follow_leaves;
pub use report::Report;
pub use verify::{Trust, verify_export};

use crate::note::SignedCheckpoint;
use serde_json::json;

/// How the last line of an export begins. No leaf begins so.
const CHECKPOINT_PREFIX: &[u8] = br#"{"checkpoint":"#;

/// The last line of an export, without its line break.
pub fn checkpoint_line(checkpoint: &SignedCheckpoint) -> String {
    json!({"checkpoint": checkpoint.to_string()}).to_string()
}
