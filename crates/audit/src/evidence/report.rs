//! A report's lines: about the run, then every pattern with its outcome.

use env::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The most bytes of a report.
pub const MAX_REPORT_BYTES: usize = 8 << 20;
/// The form of a report that this code knows.
const FORM: &str = "tenantry.dev/attack-report/v1";

/// Which server was attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// One that the suite started for this, and ended.
    Own,
    /// One that was there.
    Given,
}

/// What was attacked, when, and what the suite was given for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The server's version, as its description says.
    pub version: String,
    /// SHA-256 of `/openapi.json`, in hexadecimal: exactly which interface.
    pub description: String,
    /// The server's address, as the suite reached it.
    pub url: String,
    /// Which server.
    pub server: Server,
    /// Whether its log was searched.
    pub log: bool,
    /// Whether its data folder was searched.
    pub data: bool,
    /// When the run began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// How many patterns ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Patterns that were tried, positive control included.
    pub patterns: u64,
    /// How many of them leaked.
    pub leaks: u64,
    /// Patterns that could not be tried.
    pub unattacked: u64,
    /// What the call did not offer to be attacked.
    pub not_offered: u64,
}

/// How one pattern ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Line {
    /// The positive control held, and the attack got nothing.
    Held {
        /// The operation, as method and path.
        operation: String,
        /// Where in the request.
        place: String,
        /// The attack.
        attack: String,
    },
    /// The attack got something.
    Leak {
        /// The operation.
        operation: String,
        /// Where in the request.
        place: String,
        /// The attack.
        attack: String,
        /// What, without the content.
        detail: String,
    },
    /// The positive control did not hold.
    Unattacked {
        /// The operation.
        operation: String,
        /// Where in the request.
        place: String,
        /// The attack.
        attack: String,
        /// Why not.
        reason: String,
    },
    /// The call did not offer it.
    NotOffered {
        /// What.
        cell: String,
        /// What to give, so that it is.
        give: String,
    },
}

/// The first line. Its counts are repeated by what follows.
#[derive(Serialize, Deserialize)]
struct First {
    form: String,
    #[serde(flatten)]
    about: About,
    #[serde(flatten)]
    count: Count,
}

/// Why a text is not a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportFault {
    /// It is longer than a report can be.
    #[error("the report is longer than {MAX_REPORT_BYTES} bytes")]
    TooLong,
    /// A line does not read, or is written in another way than this one.
    #[error("line {0} of the report is not one, or was altered")]
    Malformed(usize),
    /// A pattern stands twice, or lines are in another order.
    #[error("line {0} of the report repeats a pattern, or is not in its place")]
    Order(usize),
    /// The first line says other numbers than the lines add up to.
    #[error("the report says {said:?} and its lines add up to {found:?}")]
    Count {
        /// What the first line says.
        said: Count,
        /// What the lines add up to.
        found: Count,
    },
}

/// A report whose lines add up to what its first line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was attacked.
    pub about: About,
    /// What the lines add up to.
    pub count: Count,
    /// Every pattern.
    pub lines: Vec<Line>,
    text: String,
}

impl Line {
    /// The operation, where the line is about one.
    pub fn operation(&self) -> Option<&str> {
        match self {
            Self::Held { operation, .. }
            | Self::Leak { operation, .. }
            | Self::Unattacked { operation, .. } => Some(operation),
            Self::NotOffered { .. } => None,
        }
    }

    /// What may stand once in a report: the pattern, whatever came of it. Those that were not offered come
    /// last.
    fn pattern(&self) -> (bool, &str, &str, &str) {
        match self {
            Self::Held { operation, place, attack }
            | Self::Leak { operation, place, attack, .. }
            | Self::Unattacked { operation, place, attack, .. } => (false, operation, place, attack),
            Self::NotOffered { cell, .. } => (true, cell, "", ""),
        }
    }

    /// What is worse stands where a pattern ended in several ways.
    fn badness(&self) -> u8 {
        match self {
            Self::NotOffered { .. } | Self::Held { .. } => 0,
            Self::Unattacked { .. } => 1,
            Self::Leak { .. } => 2,
        }
    }
}

impl Count {
    fn of(lines: &[Line]) -> Self {
        let mut count = Self::default();
        for line in lines {
            match line {
                Line::Held { .. } => count.patterns += 1,
                Line::Leak { .. } => {
                    count.patterns += 1;
                    count.leaks += 1;
                }
                Line::Unattacked { .. } => count.unattacked += 1,
                Line::NotOffered { .. } => count.not_offered += 1,
            }
        }
        count
    }
}

impl Report {
    /// A report of these lines, in any order.
    pub fn new(about: About, lines: Vec<Line>) -> Self {
        let mut once = BTreeMap::new();
        for line in lines {
            let (last, a, b, c) = line.pattern();
            let key = (last, a.to_owned(), b.to_owned(), c.to_owned());
            if once.get(&key).is_none_or(|kept: &Line| kept.badness() < line.badness()) {
                once.insert(key, line);
            }
        }
        let lines: Vec<Line> = once.into_values().collect();
        let count = Count::of(&lines);
        let first = First { form: FORM.to_owned(), about: about.clone(), count };
        let mut text = written(&first);
        for line in &lines {
            text.push_str(&written(line));
        }
        Self { about, count, lines, text }
    }

    /// Reads a report. What would be written differently is refused, so that a report has one form.
    pub fn read(text: &str) -> Result<Self, ReportFault> {
        if text.len() > MAX_REPORT_BYTES {
            return Err(ReportFault::TooLong);
        }
        let mut parts = text.split_inclusive('\n');
        let first = parts.next().unwrap_or_default();
        let First { form, about, count: said } =
            serde_json::from_str(first).map_err(|_| ReportFault::Malformed(1))?;
        let again = First { form, about, count: said };
        if again.form != FORM || written(&again) != first {
            return Err(ReportFault::Malformed(1));
        }
        let mut lines: Vec<Line> = Vec::new();
        for (number, part) in (2..).zip(parts) {
            let line: Line = serde_json::from_str(part).map_err(|_| ReportFault::Malformed(number))?;
            if written(&line) != part {
                return Err(ReportFault::Malformed(number));
            }
            if lines.last().is_some_and(|last| last.pattern() >= line.pattern()) {
                return Err(ReportFault::Order(number));
            }
            lines.push(line);
        }
        let found = Count::of(&lines);
        if said != found {
            return Err(ReportFault::Count { said, found });
        }
        Ok(Self { about: again.about, count: found, lines, text: text.to_owned() })
    }

    /// The exact text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the exact text, in hexadecimal after `sha256:`.
    pub fn hash(&self) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(&self.text)))
    }
}

/// A value as one line of JSON.
fn written(value: &impl Serialize) -> String {
    // A type of texts and numbers has a JSON form.
    serde_json::to_string(value).map(|text| text + "\n").unwrap_or_default()
}
