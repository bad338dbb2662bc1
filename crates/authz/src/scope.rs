//! Scopes: what a key is narrowed to. A scope never widens what its role allows.

use crate::{Action, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One scope: everything (`*`), or a verb on a noun such as `records:read`, or every verb (`records:*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All that the role allows.
    Everything,
    /// Every verb on one noun.
    All(Resource),
    /// One verb on one noun.
    One(Resource, &'static str),
}

/// The text is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope such as `*`, `records:*`, `records:read`, `runs:content` or `ai:invoke`")]
pub struct ParseScopeError;

impl Scope {
    /// The narrowest scope that lets a key do this.
    pub const fn for_call(action: Action, resource: Resource) -> Self {
        Self::One(resource, action.scope_verb())
    }

    fn covers(self, action: Action, resource: Resource) -> bool {
        match self {
            Self::Everything => true,
            Self::All(noun) => noun == resource,
            Self::One(noun, verb) => noun == resource && verb == action.scope_verb(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => out.write_str("*"),
            Self::All(noun) => write!(out, "{}:*", noun.as_str()),
            Self::One(noun, verb) => write!(out, "{}:{verb}", noun.as_str()),
        }
    }
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, ParseScopeError> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let (noun, verb) = text.split_once(':').ok_or(ParseScopeError)?;
        let noun = Resource::ALL.iter().copied().find(|it| it.as_str() == noun).ok_or(ParseScopeError)?;
        if verb == "*" {
            return Ok(Self::All(noun));
        }
        let verb = Action::ALL.into_iter().map(Action::scope_verb).find(|it| *it == verb);
        verb.map(|verb| Self::One(noun, verb)).ok_or(ParseScopeError)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Scope {
    fn schema_name() -> Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let nouns: BTreeSet<_> = Resource::ALL.iter().map(|it| it.as_str()).collect();
        let verbs: BTreeSet<_> = Action::ALL.into_iter().map(Action::scope_verb).collect();
        let joined = |words: BTreeSet<&str>| words.into_iter().collect::<Vec<_>>().join("|");
        let pattern = format!(r"^(\*|({}):(\*|{}))$", joined(nouns), joined(verbs));
        schemars::json_schema!({
            "type": "string",
            "description": "`*`, or a noun and a verb such as `records:read`",
            "pattern": pattern,
        })
    }
}

/// The scopes of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// All that the role allows.
    pub fn everything() -> Self {
        Self(BTreeSet::from([Scope::Everything]))
    }

    /// Whether a key with these scopes may do this, as far as scopes go.
    pub fn cover(&self, action: Action, resource: Resource) -> bool {
        self.0.iter().any(|scope| scope.covers(action, resource))
    }

    /// Whether these scopes contain all of `others`: nobody gives more than they have.
    pub fn contain(&self, others: &Self) -> bool {
        others.0.iter().all(|other| match other {
            Scope::Everything => self.0.contains(&Scope::Everything),
            Scope::All(noun) => self.0.contains(&Scope::Everything) || self.0.contains(&Scope::All(*noun)),
            Scope::One(noun, _) => {
                self.0.contains(&Scope::Everything)
                    || self.0.contains(&Scope::All(*noun))
                    || self.0.contains(other)
            }
        })
    }

    /// The scopes as texts, sorted.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(Scope::to_string).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}
