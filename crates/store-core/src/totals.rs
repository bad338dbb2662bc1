//! What calls came to.

use money::Usd;
use serde::{Deserialize, Serialize};
use store::{CallOutcome, CallStatus};

/// Sums over calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// How many.
    pub calls: u64,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// What they cost.
    pub cost: Usd,
    /// How many had no price.
    pub unpriced: u64,
    /// How many were answered from a cache.
    pub cached: u64,
    /// Of how many it is not known how they ended.
    pub unknown: u64,
}

impl Totals {
    /// What one call came to. One that was released cost nothing.
    pub fn of(outcome: &CallOutcome) -> Self {
        let released = outcome.status == CallStatus::Released;
        Self {
            calls: 1,
            input_tokens: outcome.tokens.input(),
            output_tokens: outcome.tokens.output(),
            cost: if released { Usd::ZERO } else { outcome.cost },
            unpriced: u64::from(outcome.unpriced),
            cached: u64::from(outcome.cached),
            unknown: u64::from(outcome.status == CallStatus::Unknown),
        }
    }

    /// Both sums together.
    pub fn plus(&self, other: &Self) -> Self {
        Self { cost: self.cost.plus(other.cost), ..self.counts(other, u64::saturating_add) }
    }

    /// The sums without others that were in them.
    pub fn minus(&self, other: &Self) -> Self {
        Self { cost: self.cost.minus(other.cost), ..self.counts(other, u64::saturating_sub) }
    }

    fn counts(&self, other: &Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            calls: of(self.calls, other.calls),
            input_tokens: of(self.input_tokens, other.input_tokens),
            output_tokens: of(self.output_tokens, other.output_tokens),
            cost: Usd::ZERO,
            unpriced: of(self.unpriced, other.unpriced),
            cached: of(self.cached, other.cached),
            unknown: of(self.unknown, other.unknown),
        }
    }
}
