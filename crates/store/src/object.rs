//! Objects: what a tenant has few of and looks up by name or id (keys, agents, credentials, workflows).
//!
//! A backend stores JSON documents by kind and id; the typed calls of [`Objects`] bind each kind to the
//! permission that it needs, so a call without the right access does not compile.

use crate::{Commit, Page, PageRequest, StoreError};
use async_trait::async_trait;
use authz::{Role, Scopes};
use context::{
    Access, Create, Delete, Invoke, Noun, Permission, Private, Read, SigningAlgorithm, Tenant, Update, on,
};
use env::Timestamp;
use ids::{AgentId, CredentialId, HookId, KeyId, SigningKeyId, Slug, WorkflowId};
use money::Usd;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// API keys, without their secrets.
    ApiKey,
    /// Registered signing keys.
    SigningKey,
    /// Agents.
    Agent,
    /// Sealed credentials for outside services.
    Credential,
    /// Workflows.
    Workflow,
    /// Budgets.
    Budget,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::ApiKey, Self::SigningKey, Self::Agent, Self::Credential, Self::Workflow, Self::Budget];

    /// The kind's name, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::SigningKey => "signing_key",
            Self::Agent => "agent",
            Self::Credential => "credential",
            Self::Workflow => "workflow",
            Self::Budget => "budget",
        }
    }
}

/// A stored object of any kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its id or name within its kind.
    pub id: String,
    /// The principal that owns it, where one does.
    pub owner: Option<String>,
    /// What it says.
    pub body: Value,
    /// Counts its changes, from 1.
    pub version: u64,
}

/// A typed kind of object.
pub trait Entity: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its kind.
    const KIND: ObjectKind;
    /// The noun of the table that guards it.
    type Noun: Noun;

    /// Its id or name within its kind.
    fn key(&self) -> String;

    /// The principal that owns it, where one does.
    fn owner(&self) -> Option<String> {
        None
    }
}

/// Keeps objects as documents. Called through [`Objects`], which checks the permission.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// One object, if the given principal owns it where one is given.
    async fn read_object<'t>(
        &self,
        tenant: &Tenant<'t>,
        kind: ObjectKind,
        id: &str,
        only_of: Option<&str>,
    ) -> Result<Private<'t, Object>, StoreError>;

    /// A page of objects by id.
    async fn list_objects<'t>(
        &self,
        tenant: &Tenant<'t>,
        kind: ObjectKind,
        only_of: Option<&str>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Object>>, StoreError>;

    /// Writes an object. `expected` is the version that it must have: 0 for one that must not be there,
    /// `None` for whatever is there. Gives back the new version.
    async fn write_object(
        &self,
        tenant: &Tenant<'_>,
        kind: ObjectKind,
        object: Object,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<u64, StoreError>;

    /// Removes an object, if the given principal owns it where one is given.
    async fn remove_object(
        &self,
        tenant: &Tenant<'_>,
        kind: ObjectKind,
        id: &str,
        only_of: Option<&str>,
        commit: Commit,
    ) -> Result<(), StoreError>;
}

/// A typed object with its version.
pub type Versioned<E> = (E, u64);

/// The typed calls on objects.
#[async_trait]
pub trait Objects: ObjectStore {
    /// One object.
    async fn get<'t, E: Entity>(
        &self,
        access: &Access<'t, Read<E::Noun>>,
        id: &str,
    ) -> Result<Private<'t, Versioned<E>>, StoreError> {
        fetch(self, access, id).await
    }

    /// One object, to be used and not looked at.
    async fn get_to_use<'t, E: Entity>(
        &self,
        access: &Access<'t, Invoke<E::Noun>>,
        id: &str,
    ) -> Result<Private<'t, Versioned<E>>, StoreError> {
        fetch(self, access, id).await
    }

    /// A page of objects.
    async fn list<'t, E: Entity>(
        &self,
        access: &Access<'t, Read<E::Noun>>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Versioned<E>>>, StoreError> {
        let found = self.list_objects(access.tenant(), E::KIND, access.only_of(), page).await?;
        found.try_map(|page| {
            let data = page.data.into_iter().map(typed).collect::<Result<_, _>>()?;
            Ok(Page { data, next_cursor: page.next_cursor })
        })
    }

    /// Adds an object that must not be there yet.
    async fn create<E: Entity>(
        &self,
        access: &Access<'_, Create<E::Noun>>,
        entity: &E,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        self.write_object(access.tenant(), E::KIND, document(entity)?, Some(0), commit).await
    }

    /// Writes an object, if it still has the expected version where one is given.
    async fn put<E: Entity>(
        &self,
        access: &Access<'_, Update<E::Noun>>,
        entity: &E,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        self.write_object(access.tenant(), E::KIND, document(entity)?, expected, commit).await
    }

    /// Removes an object.
    async fn remove<E: Entity>(
        &self,
        access: &Access<'_, Delete<E::Noun>>,
        id: &str,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.remove_object(access.tenant(), E::KIND, id, access.only_of(), commit).await
    }
}

impl<S: ObjectStore + ?Sized> Objects for S {}

async fn fetch<'t, E: Entity, P: Permission, S: ObjectStore + ?Sized>(
    store: &S,
    access: &Access<'t, P>,
    id: &str,
) -> Result<Private<'t, Versioned<E>>, StoreError> {
    store.read_object(access.tenant(), E::KIND, id, access.only_of()).await?.try_map(typed)
}

fn typed<E: Entity>(object: Object) -> Result<Versioned<E>, StoreError> {
    let entity = serde_json::from_value(object.body).map_err(|error| {
        tracing::error!(
            kind = E::KIND.as_str(),
            line = error.line(),
            "a stored object does not fit its type"
        );
        StoreError::TenantUnavailable
    })?;
    Ok((entity, object.version))
}

fn document<E: Entity>(entity: &E) -> Result<Object, StoreError> {
    let body = serde_json::to_value(entity).map_err(|_| StoreError::Unavailable)?;
    Ok(Object { id: entity.key(), owner: entity.owner(), body, version: 0 })
}

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
