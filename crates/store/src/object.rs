//! Objects: what a tenant has few of and looks up by name or id (keys, agents, credentials, workflows).
//!
//! A backend stores JSON documents by kind and id, within an [`ObjectScope`] that only the typed calls of
//! [`Objects`](crate::Objects) make. They bind each kind to the permission that it needs, so a call without
//! the right access does not compile.

use crate::{Commit, Page, PageRequest, StoreError};
use async_trait::async_trait;
use context::{Access, Noun, Permission, Private, Tenant};
use serde::Serialize;
use serde::de::DeserializeOwned;
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

/// Which objects a call may touch: one kind of one tenant's, all of them or one principal's own. Made by the
/// typed calls of [`Objects`](crate::Objects) alone, each from the access that it asks for.
pub struct ObjectScope<'t> {
    tenant: Tenant<'t>,
    kind: ObjectKind,
    only_of: Option<String>,
}

impl<'t> ObjectScope<'t> {
    pub(crate) fn of<P: Permission>(access: &Access<'t, P>, kind: ObjectKind) -> Self {
        let only_of = access.only_of().map(str::to_owned);
        Self { tenant: access.tenant().clone(), kind, only_of }
    }

    /// Every object of the kind: for what holds for all of a tenant's callers, whatever each may do.
    pub(crate) fn all_of(tenant: &Tenant<'t>, kind: ObjectKind) -> Self {
        Self { tenant: tenant.clone(), kind, only_of: None }
    }

    /// What one principal owns of a kind, for asking whether there is any.
    pub(crate) fn owned_by(tenant: &Tenant<'t>, kind: ObjectKind, owner: &str) -> Self {
        Self { tenant: tenant.clone(), kind, only_of: Some(owner.to_owned()) }
    }

    /// The tenant whose objects they are.
    pub fn tenant(&self) -> &Tenant<'t> {
        &self.tenant
    }

    /// The kind.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The only owner whose objects may be touched, where not all may be.
    pub fn only_of(&self) -> Option<&str> {
        self.only_of.as_deref()
    }
}

/// Keeps objects as documents. Called through [`Objects`](crate::Objects), which checks the permission.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// One object.
    async fn read_object<'t>(
        &self,
        scope: ObjectScope<'t>,
        id: &str,
    ) -> Result<Private<'t, Object>, StoreError>;

    /// A page of objects by id.
    async fn list_objects<'t>(
        &self,
        scope: ObjectScope<'t>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Object>>, StoreError>;

    /// Writes an object. `expected` is the version that it must have: 0 for one that must not be there,
    /// `None` for whatever is there. Gives back the new version.
    async fn write_object(
        &self,
        scope: ObjectScope<'_>,
        object: Object,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<u64, StoreError>;

    /// Removes an object, if it has the expected version where one is given: looking and removing are one step,
    /// so that nobody's change in between is lost.
    async fn remove_object(
        &self,
        scope: ObjectScope<'_>,
        id: &str,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError>;
}

/// A typed object with its version.
pub type Versioned<E> = (E, u64);
