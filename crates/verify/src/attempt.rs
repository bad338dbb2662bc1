//! Attacks that others carry out, such as those on the store by SQL: they end in the same report.

use crate::pattern::{Only, Outcome, Pattern, Verdict};
use crate::report::Report;

/// An attack that was carried out elsewhere, and how it ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The part of what is attacked.
    pub surface: String,
    /// The operation, or the kind of statement.
    pub operation: String,
    /// Where it stood.
    pub place: String,
    /// The attack.
    pub attack: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Report {
    /// What these attempts found that are meant, in so many milliseconds.
    pub fn of(attempts: Vec<Attempt>, only: &Only, millis: u64) -> Self {
        let outcomes = attempts.into_iter().map(|it| Outcome {
            pattern: Pattern {
                surface: it.surface,
                operation: it.operation,
                place: it.place,
                attack: it.attack,
            },
            verdict: it.verdict,
            millis: it.millis,
        });
        Self::new(outcomes.filter(|outcome| only.has(&outcome.pattern)).collect(), Vec::new(), millis)
    }
}
