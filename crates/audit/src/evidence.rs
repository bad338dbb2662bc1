//! Evidence of an attack run: a file that a reviewer keeps, and checks without us.
//!
//! Its lines are a [`Report`]: a first line about the run, then one for every pattern. The last line is
//! what the operators' log says of them: [`Findings`], a note that the log's key signed over the report's
//! hash and over what the lines add up to, and the proof that an event with that hash is in the log. Who
//! signs counts by itself, so that no report says more than its lines do.

mod file;
mod findings;
mod report;

#[cfg(test)]
mod tests;

pub use file::{Checked, EvidenceFault, Vouched, check};
pub use findings::{Findings, Verdict};
pub use report::{About, Count, Line, Report, ReportFault, Server};

use crate::event::Action;
use sha2::{Digest as _, Sha256};

/// The action of the event by which the log vouches for a report. Its resource is the report's hash.
pub const SIGN: Action = Action::new("evidence.sign");

/// The hash under which a report names the interface that was attacked: of `/openapi.json`, byte by byte.
pub fn interface_hash(document: &[u8]) -> String {
    hex::encode(Sha256::digest(document))
}

/// The kind of that event's resource.
pub const RESOURCE: &str = "attack_report";
