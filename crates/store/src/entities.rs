//! The kinds of object, each with the noun of the table that guards it.

use crate::{Entity, ObjectKind};
use authz::{Role, Scopes};
use context::{SigningAlgorithm, on};
use env::Timestamp;
use ids::{AgentId, CredentialId, HookId, KeyId, SigningKeyId, Slug, WorkflowId};
use money::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! entity {
    ($type:ident, $noun:ident, $this:ident => $key:expr $(, owner $owner:expr)?) => {
        impl Entity for $type {
            const KIND: ObjectKind = ObjectKind::$type;
            type Noun = on::$noun;

            fn key(&self) -> String {
                let $this = self;
                $key
            }

            $(fn owner(&self) -> Option<String> {
                let $this = self;
                $owner
            })?
        }
    };
}

/// What is kept of an API key. Its secret is nowhere, its keyed hash in the credential index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyRecord {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// The role that it gives.
    pub role: Role,
    /// What it is narrowed to.
    pub scopes: Scopes,
    /// The agent that holds it.
    pub agent: Option<AgentId>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Entity for ApiKeyRecord {
    const KIND: ObjectKind = ObjectKind::ApiKey;
    type Noun = on::ApiKey;

    fn key(&self) -> String {
        self.id.to_string()
    }

    /// A key owns itself: whoever may see only its own sees this one.
    fn owner(&self) -> Option<String> {
        Some(self.agent.map_or_else(|| self.id.to_string(), |agent| agent.to_string()))
    }
}

/// A key with which the tenant signs tokens of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SigningKey {
    /// Its id: the `kid` of the tokens.
    pub id: SigningKeyId,
    /// The one algorithm that it signs with.
    pub alg: SigningAlgorithm,
    /// The public key (RFC 7517).
    pub public_jwk: Value,
    /// The highest role that its tokens may claim.
    pub role: Role,
    /// When it was registered.
    pub created_at: Timestamp,
}

entity!(SigningKey, SigningKey, key => key.id.to_string());

/// An agent, as far as a key may name one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

entity!(Agent, Agent, agent => agent.id.to_string());

/// Whether a credential can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// It can.
    Active,
    /// The provider refused it, or a refresh has an unknown outcome: it must be stored again.
    NeedsReauthorization,
}

/// A sealed secret for an outside service. What was sealed is the vault's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// The service's name: at most one credential each.
    pub service: Slug,
    /// `api_key`, `basic` or `oauth2`.
    pub kind: String,
    /// The hosts that it may go to.
    pub hosts: Vec<String>,
    /// Whether it can be used.
    pub status: CredentialStatus,
    /// Counts what was sealed under this name; part of the associated data.
    pub sealed_version: u64,
    /// The secret, sealed, in base64.
    pub sealed: String,
    /// When the access token inside ends.
    pub expires_at: Option<Timestamp>,
    /// Since when a refresh is under way whose outcome is not committed.
    pub refreshing_since: Option<Timestamp>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

entity!(Credential, Credential, credential => credential.service.to_string());

/// The template version that a workflow is an instance of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateRef {
    /// The template's name.
    pub name: Slug,
    /// The version that the workflow is pinned to.
    pub version: u32,
}

/// The inbound address of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowHook {
    /// Its id. The token that is its address is shown once, and only its keyed hash is kept.
    pub id: HookId,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A tenant's workflow: an instance of a template, or its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// What people call it.
    pub name: String,
    /// The template that it is an instance of.
    pub template: Option<TemplateRef>,
    /// The definition's text, pinned.
    pub definition: String,
    /// The tenant's configuration.
    pub config: Value,
    /// Its inbound address.
    pub hook: Option<WorkflowHook>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

entity!(Workflow, Workflow, workflow => workflow.id.to_string());

/// A limit on money.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// `tenant`, `key`, `agent` or `workflow`.
    pub scope: String,
    /// The id of what is limited.
    pub id: String,
    /// `day` or `month`, in UTC.
    pub per: String,
    /// The limit.
    pub usd: Usd,
}

entity!(Budget, Budget, budget => format!("{}/{}/{}", budget.scope, budget.id, budget.per));
