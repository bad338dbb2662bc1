//! Who may do what: roles, scopes, system principals, and the one table that decides.
//!
//! Pure: the decision is a function of the [`Rights`] that authentication read from the credential index
//! and of what is asked. `context` calls [`Rights::reach`] and nobody else needs to.

mod action;
mod role;
mod scope;
mod system;
mod table;

pub use action::{Action, Resource};
pub use role::{OperatorRole, Role};
pub use scope::{ParseScopeError, Scope, Scopes};
pub use system::SystemPrincipal;
pub use table::Reach;

use std::fmt;

/// What a principal holds: a role with the scopes of its key, or the fixed duties of a system principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// A person, agent or service key of the tenant.
    Granted {
        /// The role in the tenant.
        role: Role,
        /// What the key was narrowed to.
        scopes: Scopes,
    },
    /// A named piece of background work.
    System(SystemPrincipal),
}

impl Rights {
    /// How far `action` on `resource` reaches: every object of the tenant, the principal's own, or none.
    pub fn reach(&self, action: Action, resource: Resource) -> Reach {
        match self {
            Self::Granted { role, scopes } if scopes.cover(action, resource) => {
                table::reach(*role, action, resource)
            }
            Self::Granted { .. } => Reach::None,
            Self::System(principal) if principal.duties().contains(&(action, resource)) => Reach::All,
            Self::System(_) => Reach::None,
        }
    }

    /// The scope that a refused caller lacks, as the answer names it.
    pub fn needed(action: Action, resource: Resource) -> String {
        Scope::for_call(action, resource).to_string()
    }
}

/// All that is held, one text for each: two principals of the same text may do the same.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted { role, scopes } => write!(f, "{} {}", role.as_str(), scopes.texts().join(" ")),
            Self::System(principal) => write!(f, "system {}", principal.as_str()),
        }
    }
}
