//! What the operators' log says of a report: a note that can be taken for nothing else.

use super::report::{Count, Report};
use crate::note::{LogKey, NoteError, SignedNote, VerifierKey};
use env::Timestamp;
use std::fmt;

/// The first line of what is signed. No checkpoint begins so, since no log has this name.
const FORM: &str = "tenantry.dev/attack-findings/v1";

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was attacked and nothing leaked.
    Held,
    /// Something leaked.
    Leaked,
    /// Nothing leaked of what was attacked, but not all was.
    Incomplete,
}

/// What the operators' log says of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The hash of the report's exact text.
    pub report: String,
    /// The version of the server that signs, which is the one that was attacked.
    pub version: String,
    /// When it was signed, by the server's clock.
    pub signed_at: Timestamp,
    /// What the report's lines add up to.
    pub count: Count,
    /// The event of the operators' log that has the report's hash.
    pub event: u64,
}

impl Verdict {
    /// The verdict on these numbers.
    pub fn of(count: &Count) -> Self {
        match count {
            Count { leaks: 1.., .. } => Self::Leaked,
            Count { unattacked: 1.., .. } | Count { patterns: 0, .. } => Self::Incomplete,
            _ => Self::Held,
        }
    }

    /// The verdict as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Leaked => "leaked",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Findings {
    /// What is to be said of this report.
    pub fn of(report: &Report, signed_at: Timestamp, event: u64) -> Self {
        let version = report.about.version.clone();
        Self { report: report.hash(), version, signed_at, count: report.count, event }
    }

    /// What they come to.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.count)
    }

    /// The text that is signed.
    fn text(&self, log: &impl fmt::Display) -> String {
        let Self { report, version, signed_at, event, .. } = self;
        let Count { patterns, leaks, unattacked, not_offered } = self.count;
        let verdict = self.verdict().as_str();
        format!(
            "{FORM}\nlog {log}\nreport {report}\nversion {version}\nsigned {signed_at}\nevent {event}\n\
             patterns {patterns}\nleaks {leaks}\nunattacked {unattacked}\nnot_offered {not_offered}\n\
             verdict {verdict}\n"
        )
    }

    /// Signs them with the key of the log that has the event.
    pub fn signed(&self, key: &LogKey) -> Result<String, NoteError> {
        Ok(key.sign_text(self.text(key.origin()))?.to_string())
    }

    /// Checks that `note` is these findings, signed by `key` and by no other.
    pub(super) fn verify(note: &str, key: &VerifierKey, report: &Report) -> Result<Self, Option<NoteError>> {
        let signed: SignedNote = note.parse().map_err(Some)?;
        signed.verify(key).map_err(Some)?;
        let says = |name: &str| {
            let mut lines = signed.text().lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        };
        let findings = says("signed")
            .zip(says("event"))
            .and_then(|(at, event)| Some(Self::of(report, at.parse().ok()?, event.parse().ok()?)));
        // Written again from the report, it has to be the very text that was signed.
        let same = |findings: &Self| findings.text(key.name()) == signed.text();
        findings.filter(same).filter(|_| signed.signatures().len() == 1).ok_or(None)
    }
}
