//! A price, and the exact cost of tokens by it.

use crate::tokens::Tokens;
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Places that a price a million tokens may have, so that one token's price has at most [`money::PLACES`]
/// and no cost is ever rounded.
const PLACES: usize = 9;

/// The text is not a price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a price such as \"0.15\", in dollars with at most 9 decimal places")]
pub struct ParsePriceError;

/// US dollars a million tokens, with at most nine decimal places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Usd")]
#[schemars(with = "Usd")]
pub struct PerMillion(Usd);

impl PerMillion {
    /// What so many tokens cost, exactly.
    pub fn cost(self, tokens: u64) -> Usd {
        self.0.per_million(tokens)
    }
}

impl TryFrom<Usd> for PerMillion {
    type Error = ParsePriceError;

    fn try_from(price: Usd) -> Result<Self, ParsePriceError> {
        let text = price.to_string();
        let places = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        if places <= PLACES { Ok(Self(price)) } else { Err(ParsePriceError) }
    }
}

impl FromStr for PerMillion {
    type Err = ParsePriceError;

    fn from_str(text: &str) -> Result<Self, ParsePriceError> {
        text.parse::<Usd>().map_err(|_| ParsePriceError)?.try_into()
    }
}

impl fmt::Display for PerMillion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A price a million that may depend on how long the whole prompt is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Rate {
    Flat(PerMillion),
    Tiered {
        base: PerMillion,
        /// The price of every token once the prompt has more tokens than this, shortest prompt first.
        above: Vec<(u64, PerMillion)>,
    },
}

impl Rate {
    pub(super) fn flat(price: PerMillion) -> Self {
        Self::Flat(price)
    }

    fn at(&self, prompt: u64) -> PerMillion {
        match self {
            Self::Flat(price) => *price,
            Self::Tiered { base, above } => {
                above.iter().rev().find(|(start, _)| prompt > *start).map_or(*base, |(_, price)| *price)
            }
        }
    }

    /// The dearest that it can be for a prompt of at most so many tokens.
    fn dearest(&self, prompt: u64) -> PerMillion {
        match self {
            Self::Flat(price) => *price,
            Self::Tiered { base, above } => above
                .iter()
                .filter(|(start, _)| prompt > *start)
                .fold(*base, |dearest, (_, price)| dearest.max(*price)),
        }
    }
}

/// What a model's tokens cost at a moment. A rate that is absent is covered by the wider one: cached and
/// audio prompt tokens cost what other prompt tokens cost, reasoning what other output costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub(super) input: Rate,
    pub(super) cache_read: Option<Rate>,
    pub(super) cache_write: Option<Rate>,
    pub(super) cache_write_1h: Option<Rate>,
    pub(super) input_audio: Option<Rate>,
    /// Absent for models that answer no tokens (embeddings); should one answer some after all, they cost
    /// what its prompt tokens cost rather than nothing.
    pub(super) output: Option<Rate>,
    pub(super) reasoning: Option<Rate>,
    pub(super) output_audio: Option<Rate>,
    /// What a thousand calls cost, apart from their tokens.
    pub(super) thousand_calls: Option<PerMillion>,
}

impl Price {
    pub(super) fn of_input(price: PerMillion) -> Self {
        Self {
            input: Rate::flat(price),
            cache_read: None,
            cache_write: None,
            cache_write_1h: None,
            input_audio: None,
            output: None,
            reasoning: None,
            output_audio: None,
            thousand_calls: None,
        }
    }

    /// What one call with these tokens costs, exactly: each token once, all at the tier of the whole prompt.
    pub fn cost(&self, tokens: &Tokens) -> Usd {
        let prompt = tokens.input();
        let output = self.output.as_ref().unwrap_or(&self.input);
        let cache_write = self.cache_write.as_ref().unwrap_or(&self.input);
        let parts = [
            (&self.input, tokens.uncached_input),
            (self.cache_read.as_ref().unwrap_or(&self.input), tokens.cache_read),
            (cache_write, tokens.cache_write),
            (self.cache_write_1h.as_ref().unwrap_or(cache_write), tokens.cache_write_1h),
            (self.input_audio.as_ref().unwrap_or(&self.input), tokens.input_audio),
            (output, tokens.visible_output),
            (self.reasoning.as_ref().unwrap_or(output), tokens.reasoning_output),
            (self.output_audio.as_ref().unwrap_or(output), tokens.output_audio),
        ];
        parts.into_iter().map(|(rate, count)| rate.at(prompt).cost(count)).sum::<Usd>().plus(self.call())
    }

    /// The most that one call can cost whose prompt and answer have at most so many tokens, however the
    /// provider divides them: what a reservation must hold.
    pub fn worst_case(&self, input: u64, output: u64) -> Usd {
        let dearest = |rates: [&Option<Rate>; 4], wider: &Rate| {
            let narrower = rates.into_iter().flatten().map(|rate| rate.dearest(input));
            narrower.fold(wider.dearest(input), PerMillion::max)
        };
        let prompt = dearest(
            [&self.cache_read, &self.cache_write, &self.cache_write_1h, &self.input_audio],
            &self.input,
        );
        let answer = self.output.as_ref().unwrap_or(&self.input);
        let answer = dearest([&self.reasoning, &self.output_audio, &None, &None], answer);
        prompt.cost(input).plus(answer.cost(output)).plus(self.call())
    }

    fn call(&self) -> Usd {
        // A thousand calls cost this, so one costs what a thousand of a million would.
        self.thousand_calls.map_or(Usd::ZERO, |thousand| thousand.cost(1000))
    }
}
