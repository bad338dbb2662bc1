//! Small texts with rules: the name of an action, the code of a reason, a degree of confidence.

use errors::Code;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The text breaks the rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct NameError {
    expected: &'static str,
}

const MAX_LENGTH: usize = 64;
/// Digits after the point of a confidence.
const MAX_PLACES: usize = 6;

/// Whether `text` is a lower-case letter, then lower-case letters, digits and `_`, 64 in all at most.
pub(super) const fn is_word(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > MAX_LENGTH || !text[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < text.len() {
        if !(text[at].is_ascii_lowercase() || text[at].is_ascii_digit() || text[at] == b'_') {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether `text` is two or more words with dots between them.
const fn is_action(text: &[u8]) -> bool {
    let (mut at, mut word_begins, mut dots) = (0, true, 0);
    while at < text.len() {
        let byte = text[at];
        if byte == b'.' {
            if word_begins {
                return false;
            }
            dots += 1;
            word_begins = true;
        } else {
            let letter = byte.is_ascii_lowercase();
            if !(letter || (!word_begins && (byte.is_ascii_digit() || byte == b'_'))) {
                return false;
            }
            word_begins = false;
        }
        at += 1;
    }
    dots > 0 && !word_begins && text.len() <= MAX_LENGTH
}

/// Whether `text` is `0`, `1`, or one of them with a point and decimals, and not above one.
const fn is_confidence(text: &[u8]) -> bool {
    if text.is_empty() || text.len() == 2 || text.len() > 2 + MAX_PLACES {
        return false;
    }
    let one = text[0] == b'1';
    if !(one || text[0] == b'0') || (text.len() > 2 && text[1] != b'.') {
        return false;
    }
    let mut at = 2;
    while at < text.len() {
        if !text[at].is_ascii_digit() || (one && text[at] != b'0') {
            return false;
        }
        at += 1;
    }
    true
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $rule:ident $pattern:literal $expected:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// A name that stands in the code. To be called in a constant, so that a wrong one does not
            /// compile; text that comes from elsewhere is parsed.
            pub const fn new(text: &'static str) -> Self {
                assert!($rule(text.as_bytes()), $expected);
                Self(Cow::Borrowed(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let allowed = $rule(text.as_bytes());
                let parsed = allowed.then(|| Self(Cow::Owned(text.to_owned())));
                parsed.ok_or(NameError { expected: $expected })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    )*};
}

names! {
    /// What was done: words with dots between them, the kind of thing first, such as `record.create`.
    Action is_action r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"
        "an action such as record.create, of lower-case words and dots, 64 characters at most";
    /// Why it went as it did, for programs, such as `budget_exceeded`.
    ReasonCode is_word "^[a-z][a-z0-9_]{0,63}$"
        "a code such as budget_exceeded, of lower-case letters, digits and _, 64 characters at most";
    /// How sure an agent was, from `0` to `1`, as decimal text with six places at most.
    Confidence is_confidence r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$"
        "a confidence from 0 to 1 such as 0.85, with six decimal places at most";
}

impl From<Code> for ReasonCode {
    fn from(code: Code) -> Self {
        Self(Cow::Borrowed(code.as_str()))
    }
}
