//! Patterns and their outcomes.

use crate::description::Operation;
use serde::Serialize;

/// One way to attack: an operation, a place in its request, an attack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Pattern {
    pub(crate) surface: String,
    pub(crate) operation: String,
    pub(crate) place: String,
    pub(crate) attack: &'static str,
}

impl Pattern {
    pub(crate) fn new(operation: &Operation, place: impl Into<String>, attack: &'static str) -> Self {
        Self { surface: operation.tag.clone(), operation: operation.name(), place: place.into(), attack }
    }

    /// What it is called in lists.
    pub(crate) fn name(&self) -> String {
        format!("{} | {} | {}", self.operation, self.place, self.attack)
    }
}

/// Which patterns are tried: those whose name has each of these texts in it, so without any text all.
#[derive(Clone, Debug, Default)]
pub struct Only(pub Vec<String>);

impl Only {
    pub(crate) fn has(&self, pattern: &Pattern) -> bool {
        self.0.is_empty() || {
            let name = pattern.name();
            self.0.iter().all(|text| name.contains(text))
        }
    }
}

/// How an attack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The positive control held and the attack got nothing.
    Held,
    /// The attack got something; what.
    Leak(String),
    /// The positive control did not hold, so that the attack would show nothing; why.
    Unattacked(String),
    /// What is reached here does not offer it; what to give, so that it does.
    NotOffered(&'static str),
}

/// A pattern with how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) pattern: Pattern,
    pub(crate) verdict: Verdict,
    pub(crate) millis: u64,
}

/// Something that got from one tenant to the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leak {
    /// The part of the API.
    pub surface: String,
    /// The operation, as method and path.
    pub operation: String,
    /// Where in the request the attack stood.
    pub place: String,
    /// The attack.
    pub attack: String,
    /// What got through, without the content itself.
    pub detail: String,
}

/// What this call, or this server's configuration, does not offer to be attacked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotOffered {
    /// What is not attacked.
    pub cell: String,
    /// What to give, so that it is.
    pub give: String,
}

/// What the suite could not attack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unattacked {
    /// The part of the API.
    pub surface: String,
    /// The operation, as method and path.
    pub operation: String,
    /// Where in the request the attack would have stood.
    pub place: String,
    /// The attack.
    pub attack: String,
    /// Why not.
    pub reason: String,
}
