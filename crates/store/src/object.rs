//! Objects: what a tenant has few of and looks up by name or id (keys, agents, credentials, workflows).
//!
//! A backend stores JSON documents by kind and id; the typed calls of [`Objects`] bind each kind to the
//! permission that it needs, so a call without the right access does not compile.

use crate::{Commit, Page, PageRequest, StoreError};
use async_trait::async_trait;
use context::{Access, Create, Delete, Invoke, Noun, Permission, Private, Read, Tenant, Update};
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
