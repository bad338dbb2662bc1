//! Who acts: the authenticated principal.

use audit::event::AuthMethod;
use ids::{AgentId, KeyId};
use serde::{Deserialize, Serialize};

/// What kind of principal acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person, named by a tenant-minted token.
    User,
    /// An agent, named by the key that it holds.
    Agent,
    /// A service that holds an API key.
    ServiceKey,
    /// A named piece of background work.
    System,
}

impl PrincipalKind {
    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::ServiceKey => "service_key",
            Self::System => "system",
        }
    }
}

/// The authenticated principal.
#[derive(Clone, Debug)]
pub struct Principal {
    /// What kind it is.
    pub kind: PrincipalKind,
    /// Its name within the tenant: a key's or agent's id, a token's subject, a system principal's name.
    pub id: String,
    /// The API key that it used.
    pub key: Option<KeyId>,
    /// The agent that the key names.
    pub agent: Option<AgentId>,
    /// On whose behalf a system principal works.
    pub on_behalf_of: Option<String>,
    /// How it proved who it is.
    pub auth: AuthMethod,
}
