//! Roles in a tenant, and roles of operators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A role in a tenant, from the most to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, owners' keys included.
    Owner,
    /// Everything but what only an owner may give away.
    Admin,
    /// Builds: agents, workflows, credentials; sees what passes through them.
    Developer,
    /// Works with what was built.
    Member,
    /// Looks.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Developer, Self::Member, Self::Viewer];

    /// The role's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// The role with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether a holder of this role may hand out `other`: nobody gives more than they have.
    pub fn may_grant(self, other: Self) -> bool {
        self <= other
    }
}

/// A role of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRole {
    /// Every operator call.
    Admin,
    /// The reading ones.
    Viewer,
}

impl OperatorRole {
    /// The role's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }

    /// The role with this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Admin, Self::Viewer].into_iter().find(|role| role.as_str() == text)
    }
}
