//! One figure: what was measured, what it must reach, and what stands beside it.

use serde::Serialize;
use std::fmt;

/// What a figure must reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// The figure is told and not judged.
    None,
}

/// A figure as it stands in `target/bench.json`.
#[derive(Serialize)]
pub(crate) struct Figure {
    /// `ROW.FIGURE`.
    id: String,
    value: f64,
    unit: &'static str,
    target: Option<String>,
    holds: Option<bool>,
    /// The same quantity without us, from the same run.
    baseline: Option<f64>,
    /// The lowest and the highest of the rounds whose median the value is.
    spread: [f64; 2],
}

impl Figure {
    pub(crate) const HEAD: &str = "| figure | value | unit | rounds from … to | must reach | holds | baseline |\n\
                                   |---|---|---|---|---|---|---|";

    /// The median of what each round gave, beside the median of the baseline's rounds.
    pub(crate) fn new(
        id: &str,
        rounds: &[f64],
        unit: &'static str,
        target: Target,
        baseline: &[f64],
    ) -> Self {
        let value = median(rounds);
        let (target, holds) = match target {
            Target::AtMost(bound) => (Some(format!("≤ {bound}")), Some(value <= bound)),
            Target::AtLeast(bound) => (Some(format!("≥ {bound}")), Some(value >= bound)),
            Target::None => (None, None),
        };
        let baseline = (!baseline.is_empty()).then(|| median(baseline));
        let spread = [
            rounds.iter().copied().fold(f64::INFINITY, f64::min),
            rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ];
        Self { id: id.to_owned(), value, unit, target, holds, baseline, spread }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn value(&self) -> f64 {
        self.value
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (middle(sorted.len() / 2) + middle(sorted.len().saturating_sub(1) / 2)) / 2.0
}

/// Three digits that mean something.
pub(crate) fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 6) };
    format!("{value:.*}", digits as usize)
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds = match self.holds {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let target = self.target.as_deref().unwrap_or("");
        let baseline = self.baseline.map(short).unwrap_or_default();
        let [low, high] = self.spread.map(short);
        write!(
            out,
            "| {} | {} | {} | {low} … {high} | {target} | {holds} | {baseline} |",
            self.id,
            short(self.value),
            self.unit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Target};

    #[test]
    fn a_figure_is_the_median_and_is_judged_by_its_bound() {
        let held = Figure::new("chat.rate", &[9.0, 5.0, 7.0], "1/s", Target::AtLeast(7.0), &[70.0]);
        assert_eq!(
            (held.value, held.holds, held.baseline, held.spread),
            (7.0, Some(true), Some(70.0), [5.0, 9.0])
        );
        assert_eq!(Figure::new("chat.rate", &[6.0, 8.0], "1/s", Target::None, &[]).value, 7.0);
        let missed = Figure::new("chat.cpu", &[0.21], "ms", Target::AtMost(0.2), &[]);
        assert_eq!((missed.holds, missed.baseline), (Some(false), None));
        assert_eq!(missed.to_string(), "| chat.cpu | 0.210 | ms | 0.210 … 0.210 | ≤ 0.2 | **no** |  |");
    }
}
