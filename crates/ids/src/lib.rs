//! Identifiers: a prefix that says what is meant, then a ULID (<https://github.com/ulid/spec>), so that
//! ids sort by the time they were made and one kind is never taken for another.

mod slug;

pub use slug::{ParseSlugError, Slug};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use ulid::Ulid;

/// The text is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_ and a ULID")]
pub struct ParseIdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

/// What every kind of id can do.
pub trait Id: Copy + fmt::Display + FromStr<Err = ParseIdError> + Send + Sync + 'static {
    /// The text before the underscore.
    const PREFIX: &'static str;

    /// An id made at `millis` since the Unix epoch with 80 bits of `randomness`.
    fn from_parts(millis: u64, randomness: [u8; 10]) -> Self;

    /// The id's 16 bytes, which sort as its text does.
    fn to_bytes(self) -> [u8; 16];

    /// The id whose bytes these are.
    fn from_bytes(bytes: [u8; 16]) -> Self;

    /// The ULID alone, as 26 characters.
    fn ulid(self) -> String;

    /// The id that sorts right after this one: several made within one millisecond keep their order so
    /// (the ULID specification, "Monotonicity").
    fn successor(self) -> Self {
        Self::from_bytes(u128::from_be_bytes(self.to_bytes()).wrapping_add(1).to_be_bytes())
    }
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;

            fn from_parts(millis: u64, randomness: [u8; 10]) -> Self {
                let mut wide = [0; 16];
                wide[6..].copy_from_slice(&randomness);
                Self(Ulid::from_parts(millis, u128::from_be_bytes(wide)))
            }

            fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }

            fn ulid(self) -> String {
                self.0.to_string()
            }
        }

        impl $name {
            /// The id whose ULID alone is `text`, as it stands inside a key.
            pub fn from_ulid(text: &str) -> Result<Self, ParseIdError> {
                parse_ulid(text).map(Self).ok_or(ParseIdError { prefix: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!($prefix, "_{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(parse_ulid)
                    .map(Self)
                    .ok_or(ParseIdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
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
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "_[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
                })
            }
        }
    )*};
}

id! {
    /// A tenant.
    TenantId "ten";
    /// A user.
    UserId "usr";
    /// An agent.
    AgentId "agt";
    /// An API key or an operator key.
    KeyId "key";
    /// A tenant's registered signing key.
    SigningKeyId "sgk";
    /// A stored credential for an outside service.
    CredentialId "crd";
    /// A template.
    TemplateId "tpl";
    /// A workflow.
    WorkflowId "wfl";
    /// A hook, the inbound address of a workflow.
    HookId "hok";
    /// A run of a workflow.
    RunId "run";
    /// A step of a run.
    StepId "stp";
    /// A record.
    RecordId "rec";
    /// An audit event.
    EventId "evt";
    /// A call to a model or an outside service, as usage counts it.
    CallId "cal";
    /// A request to the server.
    RequestId "req";
    /// A backup of a tenant.
    BackupId "bak";
    /// A message.
    MessageId "msg";
    /// A process that carries runs out.
    WorkerId "wrk";
}

/// Only the canonical upper-case form counts: two spellings of one id would be two cache keys.
fn parse_ulid(text: &str) -> Option<Ulid> {
    let parsed = Ulid::from_string(text).ok()?;
    (parsed.to_string() == text).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::{Id, RunId, TenantId};

    #[test]
    fn text_and_bytes_round_trip() {
        let id = TenantId::from_parts(1_790_000_000_000, [7; 10]);
        assert_eq!(id.to_string().parse::<TenantId>().unwrap(), id);
        assert_eq!(TenantId::from_bytes(id.to_bytes()), id);
        assert_eq!(TenantId::from_ulid(&id.ulid()).unwrap(), id);
        assert!(id.to_string().starts_with("ten_"));
    }

    #[test]
    fn only_the_canonical_text_is_an_id() {
        let id = TenantId::from_parts(1_790_000_000_000, [7; 10]).to_string();
        for text in ["", "ten_", "ten", &id[4..], &id.to_lowercase(), &id[..id.len() - 1], &format!("{id}0")]
        {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
        }
        assert!(id.parse::<RunId>().is_err());
    }

    #[test]
    fn ids_sort_by_time() {
        let early = RunId::from_parts(1, [255; 10]);
        let late = RunId::from_parts(2, [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn a_successor_sorts_right_after() {
        let id = RunId::from_parts(1, [255; 10]);
        assert_eq!(id.successor(), RunId::from_parts(2, [0; 10]));
        assert_eq!(RunId::from_parts(1, [7; 10]).successor().to_bytes()[15], 8);
    }
}
