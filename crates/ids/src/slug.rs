//! Names that people give to things and that stand in paths: regions, plans, templates, collections.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The text is not a slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a name of 1 to 63 lower-case letters, digits, `-` and `_` that begins with a letter or digit")]
pub struct ParseSlugError;

const MAX_LENGTH: usize = 63;

/// A name of 1 to 63 lower-case letters, digits, `-` and `_`, fit for a path, a file name and a subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

impl Slug {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Slug {
    /// What is one, as a pattern of a schema.
    pub const PATTERN: &'static str = "^[a-z0-9][a-z0-9_-]{0,62}$";
}

impl FromStr for Slug {
    type Err = ParseSlugError;

    fn from_str(text: &str) -> Result<Self, ParseSlugError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins_well = text.bytes().next().is_some_and(plain);
        let goes_on_well = text.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'_');
        if begins_well && goes_on_well && text.len() <= MAX_LENGTH {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseSlugError)
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for Slug {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Slug {
    fn schema_name() -> Cow<'static, str> {
        "Slug".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": Self::PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::Slug;

    #[test]
    fn only_plain_names_are_slugs() {
        for text in ["contacts", "eu-central", "a", "0_1", &"x".repeat(63)] {
            assert_eq!(text.parse::<Slug>().unwrap().as_str(), text);
        }
        for text in ["", "-a", "_a", "A", "a b", "a/b", "..", "ä", &"x".repeat(64)] {
            assert!(text.parse::<Slug>().is_err(), "{text}");
        }
    }
}
