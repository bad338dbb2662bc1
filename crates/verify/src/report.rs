//! What a run of the suite found.

use crate::pattern::{Leak, NotOffered, Outcome, Unattacked, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The patterns of one part of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SurfaceCount {
    /// How many were tried, positive control included.
    pub patterns: usize,
    /// How many of them leaked.
    pub leaks: usize,
    /// How many could not be tried.
    pub unattacked: usize,
    /// Time spent on them, in milliseconds; attacks run side by side.
    pub millis: u64,
}

/// What a run of the suite found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many patterns were tried, positive control included.
    pub patterns: usize,
    /// The same by part of the API.
    pub surfaces: BTreeMap<String, SurfaceCount>,
    /// What leaked.
    pub leaks: Vec<Leak>,
    /// What could not be tried.
    pub unattacked: Vec<Unattacked>,
    /// What this call does not offer to be attacked; it does not fail the run.
    pub not_offered: Vec<NotOffered>,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Every pattern that was tried: operation, place and attack.
    #[serde(skip)]
    pub tried: BTreeSet<String>,
    /// Milliseconds that each of them took.
    #[serde(skip)]
    pub(crate) times: BTreeMap<String, u64>,
}

impl Report {
    pub(crate) fn new(outcomes: Vec<Outcome>, not_offered: Vec<NotOffered>, millis: u64) -> Self {
        let mut report = Self {
            patterns: 0,
            surfaces: BTreeMap::new(),
            leaks: Vec::new(),
            unattacked: Vec::new(),
            not_offered,
            millis,
            tried: BTreeSet::new(),
            times: BTreeMap::new(),
        };
        for Outcome { pattern, verdict, millis } in outcomes {
            if let Verdict::NotOffered(give) = verdict {
                let cell = format!("{}: {}, {}", pattern.operation, pattern.place, pattern.attack);
                report.not_offered.push(NotOffered { cell, give: give.to_owned() });
                continue;
            }
            let count = report.surfaces.entry(pattern.surface.clone()).or_default();
            count.millis += millis;
            let name = pattern.name();
            let (surface, operation, place) = (pattern.surface, pattern.operation, pattern.place);
            let attack = pattern.attack.to_owned();
            if let Verdict::Unattacked(reason) = verdict {
                count.unattacked += 1;
                report.unattacked.push(Unattacked { surface, operation, place, attack, reason });
                continue;
            }
            report.times.insert(name.clone(), millis);
            report.tried.insert(name);
            report.patterns += 1;
            count.patterns += 1;
            if let Verdict::Leak(detail) = verdict {
                count.leaks += 1;
                report.leaks.push(Leak { surface, operation, place, attack, detail });
            }
        }
        report.leaks.sort();
        report.unattacked.sort();
        report.not_offered.sort();
        report
    }

    /// Whether something leaked, or could not be attacked: what nobody tried is not known to hold.
    pub fn is_bad_news(&self) -> bool {
        !self.leaks.is_empty() || !self.unattacked.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<16} {:>8} {:>6} {:>11} {:>9}",
            "surface", "patterns", "leaks", "unattacked", "time"
        )?;
        for (name, count) in &self.surfaces {
            let SurfaceCount { patterns, leaks, unattacked, millis } = count;
            let seconds = *millis as f64 / 1000.0;
            writeln!(out, "{name:<16} {patterns:>8} {leaks:>6} {unattacked:>11} {seconds:>7.2} s")?;
        }
        for leak in &self.leaks {
            writeln!(
                out,
                "\nLEAK  {}\n      {} in {}\n      {}",
                leak.operation, leak.attack, leak.place, leak.detail
            )?;
        }
        if !self.unattacked.is_empty() {
            writeln!(
                out,
                "\nNOT ATTACKED, because the owner's own request did not succeed. This fails the run:"
            )?;
        }
        let mut reasons = BTreeMap::<_, Vec<_>>::new();
        for missed in &self.unattacked {
            let attack = format!("{} in {}", missed.attack, missed.place);
            reasons.entry((&missed.operation, &missed.reason)).or_default().push(attack);
        }
        for ((operation, reason), attacks) in reasons {
            let what = match attacks.as_slice() {
                [attack] => attack.clone(),
                attacks => format!("{} attacks", attacks.len()),
            };
            writeln!(out, "- {operation}: {what}\n  {reason}")?;
        }
        let mut gifts = BTreeMap::<_, Vec<_>>::new();
        for missed in &self.not_offered {
            gifts.entry(&missed.give).or_default().push(&missed.cell);
        }
        for (give, cells) in gifts {
            let what = match cells.as_slice() {
                [cell] => (*cell).clone(),
                cells => format!("{} cells, the first {}", cells.len(), cells[0]),
            };
            writeln!(out, "\nNot offered: {what}; give {give}")?;
        }
        let leaks = match self.leaks.len() {
            1 => "1 leak".to_owned(),
            leaks => format!("{leaks} leaks"),
        };
        let (patterns, missed) = (self.patterns, self.unattacked.len());
        let seconds = self.millis as f64 / 1000.0;
        write!(out, "\n{patterns} patterns, {leaks}, {missed} unattacked, {seconds:.1} s")
    }
}
