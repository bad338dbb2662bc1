//! [`Objects`]: the typed calls on objects, each with the access that it needs.

use crate::{
    ApiKeyRecord, Budget, Commit, Credential, Entity, Object, ObjectScope, ObjectStore, Page, PageRequest,
    StoreError, Versioned,
};
use async_trait::async_trait;
use context::{Access, Create, Delete, Invoke, Permission, Private, Read, Tenant, Update, on};

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

    /// One object, to be written back changed: whoever may change it need not be able to look at it.
    async fn get_to_change<'t, E: Entity>(
        &self,
        access: &Access<'t, Update<E::Noun>>,
        id: &str,
    ) -> Result<Private<'t, Versioned<E>>, StoreError> {
        fetch(self, access, id).await
    }

    /// One object, as it is before it is removed.
    async fn get_to_remove<'t, E: Entity>(
        &self,
        access: &Access<'t, Delete<E::Noun>>,
        id: &str,
    ) -> Result<Private<'t, Versioned<E>>, StoreError> {
        fetch(self, access, id).await
    }

    /// The tenant's own key for a model's provider, to carry a call: whoever may call the model may have its
    /// call carried by the key that the tenant stored for it.
    async fn credential_of_model<'t>(
        &self,
        access: &Access<'t, Invoke<on::Model>>,
        service: &str,
    ) -> Result<Private<'t, Versioned<Credential>>, StoreError> {
        fetch(self, access, service).await
    }

    /// A page of objects.
    async fn list<'t, E: Entity>(
        &self,
        access: &Access<'t, Read<E::Noun>>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Versioned<E>>>, StoreError> {
        typed_page(self.list_objects(ObjectScope::of(access, E::KIND), page).await?)
    }

    /// A page of the budgets that are set. Every caller is held to them, also one that may not look at them.
    async fn budgets_in_force<'t>(
        &self,
        tenant: &Tenant<'t>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Versioned<Budget>>>, StoreError> {
        typed_page(self.list_objects(ObjectScope::all_of(tenant, Budget::KIND), page).await?)
    }

    /// Whether any key names an agent that is about to be removed.
    async fn has_keys(
        &self,
        access: &Access<'_, Delete<on::Agent>>,
        agent: &str,
    ) -> Result<bool, StoreError> {
        let scope = ObjectScope::owned_by(access.tenant(), ApiKeyRecord::KIND, agent);
        let found = self.list_objects(scope, &PageRequest { limit: 1, cursor: None }).await?;
        Ok(found.is(|page| !page.data.is_empty()))
    }

    /// Adds an object that must not be there yet.
    async fn create<E: Entity>(
        &self,
        access: &Access<'_, Create<E::Noun>>,
        entity: &E,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        self.write_object(ObjectScope::of(access, E::KIND), document(entity)?, Some(0), commit).await
    }

    /// Writes an object, if it still has the expected version where one is given.
    async fn put<E: Entity>(
        &self,
        access: &Access<'_, Update<E::Noun>>,
        entity: &E,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        self.write_object(ObjectScope::of(access, E::KIND), document(entity)?, expected, commit).await
    }

    /// Removes an object, if it still has the expected version where one is given.
    async fn remove<E: Entity>(
        &self,
        access: &Access<'_, Delete<E::Noun>>,
        id: &str,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.remove_object(ObjectScope::of(access, E::KIND), id, expected, commit).await
    }
}

impl<S: ObjectStore + ?Sized> Objects for S {}

async fn fetch<'t, E: Entity, P: Permission, S: ObjectStore + ?Sized>(
    store: &S,
    access: &Access<'t, P>,
    id: &str,
) -> Result<Private<'t, Versioned<E>>, StoreError> {
    store.read_object(ObjectScope::of(access, E::KIND), id).await?.try_map(typed)
}

fn typed_page<'t, E: Entity>(
    found: Private<'t, Page<Object>>,
) -> Result<Private<'t, Page<Versioned<E>>>, StoreError> {
    found.try_map(|page| {
        let data = page.data.into_iter().map(typed).collect::<Result<_, _>>()?;
        Ok(Page { data, next_cursor: page.next_cursor })
    })
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
