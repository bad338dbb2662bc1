//! Messages, and their places in the order in which a tenant's were told.

use crate::Subject;
use env::Timestamp;
use ids::MessageId;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// What it is about.
    pub subject: Subject,
    /// When it was told.
    pub at: Timestamp,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// What a principal sent, sealed under the tenant's key for exactly this message.
    Sealed(Vec<u8>),
    /// Ids and names that the server tells. Whoever acts on it reads the store.
    Hint(Value),
}

/// A message's place in its tenant's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which order it is: another one begins where the messages that were kept are lost.
    pub order: u64,
    /// The number within it, from 1.
    pub number: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}.{}", self.order, self.number)
    }
}

/// The text is no place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the place of a message")]
pub struct ParsePlaceError;

impl FromStr for Place {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Self, ParsePlaceError> {
        let (order, number) =
            text.split_once('.').filter(|(order, _)| order.len() == 16).ok_or(ParsePlaceError)?;
        let order = u64::from_str_radix(order, 16).map_err(|_| ParsePlaceError)?;
        let place = Self { order, number: number.parse().map_err(|_| ParsePlaceError)? };
        // A sign, a capital or a leading zero would be another text for the same place.
        if place.to_string() == text { Ok(place) } else { Err(ParsePlaceError) }
    }
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A message.
    Message(Place, Message),
    /// Messages that may have been meant for the listener are not kept any more.
    Missed,
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_has_one_text() {
        let place = Place { order: 255, number: 7 };
        assert_eq!(place.to_string(), "00000000000000ff.7");
        assert_eq!("00000000000000ff.7".parse(), Ok(place));
        for text in [
            "",
            "7",
            "ff.7",
            "00000000000000FF.7",
            "00000000000000ff.07",
            "00000000000000ff.+7",
            "00000000000000ff.",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
