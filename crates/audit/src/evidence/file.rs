//! The whole file: a report, and as its last line what the operators' log says of it.

use super::findings::Findings;
use super::report::{Report, ReportFault};
use super::{RESOURCE, SIGN};
use crate::export::{InclusionFault, Proven, verify_proof};
use crate::note::{Cosignature, NoteError, VerifierKey, WitnessVerifierKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The last line: what the operators' log says of the lines before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vouched {
    /// The findings, as a note that the key of the operators' log signed.
    pub findings: String,
    /// The event that has the report's hash: its index in the operators' log.
    pub index: u64,
    /// The event's exact leaf.
    pub leaf: String,
    /// The hashes from the leaf to the root, in base64 (RFC 6962, section 2.1.1).
    pub hashes: Vec<String>,
    /// The log's signed checkpoint that they lead to.
    pub checkpoint: String,
}

/// Why a file is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFault {
    /// The file ends without what the log says.
    #[error("the last line is not what an operators' log says of a report: it was altered or cut off")]
    NoFindings,
    /// The lines before are not a report.
    #[error(transparent)]
    Report(#[from] ReportFault),
    /// The findings are not signed by the key.
    #[error("the findings cannot be trusted: {0}")]
    Findings(#[source] NoteError),
    /// The findings are of another report.
    #[error("the log signed something else than what this report adds up to")]
    OtherReport,
    /// The log is not shown to have the event.
    #[error("the log does not vouch for the report: {0}")]
    Event(#[from] InclusionFault),
    /// The event is about something else.
    #[error("the event of the log is not about this report")]
    OtherEvent,
}

/// Evidence that was checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The report.
    pub report: Report,
    /// What the log says of it.
    pub findings: Findings,
    /// The event of the log.
    pub event: Proven,
}

impl Checked {
    /// The witnesses who cosigned the log's checkpoint and whose keys were given.
    pub fn witnesses(&self) -> &[Cosignature] {
        &self.event.witnesses
    }
}

impl Vouched {
    /// The line, with its line break.
    pub fn line(&self) -> String {
        serde_json::to_string(self).map(|text| text + "\n").unwrap_or_default()
    }
}

/// Checks a file offline: that its report adds up, and that the log whose key this is signed just that and
/// has an event of it.
pub fn check(
    text: &str,
    key: &VerifierKey,
    witnesses: &[WitnessVerifierKey],
) -> Result<Checked, EvidenceFault> {
    let body = text.strip_suffix('\n').ok_or(EvidenceFault::NoFindings)?;
    let at = body.rfind('\n').map(|at| at + 1).ok_or(EvidenceFault::NoFindings)?;
    let (report, last) = text.split_at(at);
    let vouched: Vouched = serde_json::from_str(last).map_err(|_| EvidenceFault::NoFindings)?;
    if vouched.line() != last {
        return Err(EvidenceFault::NoFindings);
    }
    let report = Report::read(report)?;
    let findings = Findings::verify(&vouched.findings, key, &report)
        .map_err(|fault| fault.map_or(EvidenceFault::OtherReport, EvidenceFault::Findings))?;
    let event = verify_proof(last, key, witnesses)?;
    if event.index != findings.event || !is_about(&event.leaf, &findings.report) {
        return Err(EvidenceFault::OtherEvent);
    }
    Ok(Checked { report, findings, event })
}

fn is_about(leaf: &str, hash: &str) -> bool {
    let leaf: serde_json::Value = serde_json::from_str(leaf).unwrap_or_default();
    leaf["action"] == SIGN.as_str()
        && leaf["result"] == "success"
        && leaf["resource"] == serde_json::json!({"id": hash, "kind": RESOURCE})
}
