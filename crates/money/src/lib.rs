//! Money: US dollars as exact decimals with fifteen places. There is no way in from floating point.

use rust_decimal::{Decimal, RoundingStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

/// Decimal places that amounts are kept to.
pub const PLACES: u32 = 15;
const TOKENS_PER_MILLION: i64 = 1_000_000;
/// The largest amount: three digits below what 96 bits hold with [`PLACES`] places, so that sums stay exact.
const MAX_DOLLARS: i64 = 10_000_000_000;

/// An amount in US dollars, from zero to ten thousand million, with [`PLACES`] decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(Decimal);

/// The text is not an amount of dollars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of dollars such as \"12.50\", with at most 15 decimal places and no sign")]
pub struct ParseUsdError;

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// The sum, at most the largest amount.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self((self.0 + other.0).min(Decimal::from(MAX_DOLLARS)))
    }

    /// The difference, at least zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self((self.0 - other.0).max(Decimal::ZERO))
    }

    /// What `tokens` cost at this price a million, rounded up to the last place so that a sum of parts
    /// is never below the whole.
    #[must_use]
    pub fn per_million(self, tokens: u64) -> Self {
        let tokens = Decimal::from(tokens);
        let Some(product) = self.0.checked_mul(tokens) else { return Self(Decimal::from(MAX_DOLLARS)) };
        let cost = product / Decimal::from(TOKENS_PER_MILLION);
        let cost = cost.round_dp_with_strategy(PLACES, RoundingStrategy::ToPositiveInfinity);
        Self(cost.min(Decimal::from(MAX_DOLLARS)))
    }

    /// Whether there is none.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

impl FromStr for Usd {
    type Err = ParseUsdError;

    fn from_str(text: &str) -> Result<Self, ParseUsdError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !plain || text.is_empty() || text.len() > 40 {
            return Err(ParseUsdError);
        }
        let amount = Decimal::from_str_exact(text).map_err(|_| ParseUsdError)?.normalize();
        let fits = amount.scale() <= PLACES && amount <= Decimal::from(MAX_DOLLARS);
        if fits { Ok(Self(amount)) } else { Err(ParseUsdError) }
    }
}

impl fmt::Display for Usd {
    /// Plain decimal text without trailing zeros, at least two places: `0.00`, `12.50`, `0.000015`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut amount = self.0.normalize();
        if amount.scale() < 2 {
            amount.rescale(2);
        }
        write!(out, "{amount}")
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "US dollars as decimal text, at most 15 places",
            "pattern": r"^[0-9]+(\.[0-9]{1,15})?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Usd;
    use proptest::prelude::*;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap()
    }

    #[test]
    fn text_is_exact() {
        for text in ["0.00", "12.50", "0.000000000000001", "9999999999.99"] {
            assert_eq!(usd(text).to_string(), text);
        }
        for text in ["", "-1", "1e3", "0.0000000000000001", "NaN", "10000000000.01", ".", "1.2.3"] {
            assert!(text.parse::<Usd>().is_err(), "{text}");
        }
    }

    #[test]
    fn token_prices_are_exact() {
        assert_eq!(usd("0.15").per_million(1), usd("0.00000015"));
        assert_eq!(usd("0.15").per_million(1_000_000), usd("0.15"));
        assert_eq!(usd("2.5").per_million(333), usd("0.0008325"));
    }

    proptest! {
        #[test]
        fn parts_never_cost_less_than_the_whole(price in 0u64..1_000_000, a in 0u64..10_000_000, b in 0u64..10_000_000) {
            let price = usd(&format!("{}.{:06}", price / 1000, price % 1000));
            let parts = price.per_million(a).plus(price.per_million(b));
            prop_assert!(parts >= price.per_million(a + b));
        }

        #[test]
        fn taking_away_what_was_added_changes_nothing(a in 0u64..u64::MAX / 4, b in 0u64..u64::MAX / 4) {
            let a = usd(&format!("{}.{:09}", a / 10_000_000_000, a % 1_000_000_000));
            let b = usd(&format!("{}.{:09}", b / 10_000_000_000, b % 1_000_000_000));
            prop_assert_eq!(a.plus(b).minus(b), a);
        }
    }
}
