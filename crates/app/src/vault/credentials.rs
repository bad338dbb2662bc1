//! What a tenant does with its credentials: store, look at, remove. The secret goes in and never comes out.

use super::Vault;
use super::accept::accept;
use super::input::NewCredential;
use super::seal::Place;
use crate::note;
use audit::event::Action;
use context::{Create, Delete, Private, Read, Tenant, Update, door, on};
use env::Timestamp;
use errors::Problem;
use ids::{CredentialId, Slug};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use store::{
    Commit, Credential, CredentialStatus, IdempotencyClaim, Objects, Page, PageRequest, StoreError,
    TenantStore, Versioned,
};

const PUT: Action = Action::new("credential.put");
const DELETE: Action = Action::new("credential.delete");

/// How often others may be faster before a request that sets no condition is told to come back. Each time one of
/// them has stored something.
const ATTEMPTS: usize = 100;

/// A credential, as far as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CredentialView {
    /// Its id.
    pub id: CredentialId,
    /// The service's name.
    pub service: Slug,
    /// `api_key`, `basic`, `oauth2` or `webhook_secret`.
    pub kind: String,
    /// The hosts that it may go to.
    pub hosts: Vec<String>,
    /// Whether it can be used.
    pub status: CredentialStatus,
    /// When the access token inside ends. It is renewed before.
    pub expires_at: Option<Timestamp>,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl From<Credential> for CredentialView {
    fn from(row: Credential) -> Self {
        let Credential { id, service, kind, hosts, status, expires_at, created_at, updated_at, .. } = row;
        Self { id, service, kind, hosts, status, expires_at, created_at, updated_at }
    }
}

/// A credential that was stored.
pub struct Stored {
    /// The credential.
    pub view: CredentialView,
    /// Its version.
    pub version: u64,
    /// Whether there was none before.
    pub made: bool,
}

impl Vault {
    /// Stores a credential, in the place of the one that the service had.
    pub async fn put<'t>(
        &self,
        tenant: &Tenant<'t>,
        service: Slug,
        credential: NewCredential,
        expected: Option<u64>,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Private<'t, Stored>, Problem> {
        let access = tenant.authorize::<Update<on::Credential>>()?;
        let vault = &self.refresher;
        let now = vault.env.now();
        let contents = accept(credential, &vault.policy, now)?;
        let sealer = vault.sealer(tenant).await?;
        for _ in 0..ATTEMPTS {
            let before = self.store().get_to_change::<Credential>(&access, service.as_str()).await;
            let before = row_if_any(tenant, before)?;
            if expected.is_some_and(|expected| Some(expected) != before.as_ref().map(|(_, version)| *version))
            {
                return Err(StoreError::Stale.into());
            }
            let made = before.is_none();
            if made {
                tenant.authorize::<Create<on::Credential>>()?;
            }
            let version = before.as_ref().map_or(0, |(_, version)| *version);
            let mut row = Credential {
                id: before.as_ref().map_or_else(|| vault.env.id(), |(row, _)| row.id),
                service: service.clone(),
                kind: contents.kind().to_owned(),
                hosts: contents.hosts.iter().map(ToString::to_string).collect(),
                status: CredentialStatus::Active,
                sealed_version: before.as_ref().map_or(1, |(row, _)| row.sealed_version + 1),
                sealed: String::new(),
                expires_at: contents.expires_at(),
                refreshing_since: None,
                created_at: before.as_ref().map_or(now, |(row, _)| row.created_at),
                updated_at: now,
            };
            let sealed = sealer.seal(&vault.env, Place::of(tenant.id(), &row), &contents);
            row.sealed = sealed.map_err(|_| Problem::internal())?;
            let details =
                [("service", json!(service)), ("kind", json!(row.kind)), ("hosts", json!(row.hosts))];
            let event = note(tenant, PUT, "credential", row.id.to_string(), details);
            let (view, status) = (CredentialView::from(row.clone()), if made { 201 } else { 200 });
            let claim = claim.clone().map(|claim| claim.answered_with(status, &view));
            let commit = Commit::event(event).claiming(claim);
            match self.store().put(&access, &row, Some(version), commit).await {
                Ok(version) => return Ok(Private::sent(tenant, Stored { view, version, made })),
                // A refresh or another request was faster; whether a condition holds still is seen above.
                Err(StoreError::Stale | StoreError::Exists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // No condition failed, since there was none.
        Err(StoreError::Unavailable.into())
    }

    fn store(&self) -> &dyn TenantStore {
        self.refresher.store.as_ref()
    }

    /// A page of credentials, by service.
    pub async fn list<'t>(
        &self,
        tenant: &Tenant<'t>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<CredentialView>>, Problem> {
        let access = tenant.authorize::<Read<on::Credential>>()?;
        let found = self.store().list::<Credential>(&access, page).await?;
        Ok(found.map(|page| page.map(|(row, _)| row.into())))
    }

    /// One credential.
    pub async fn get<'t>(
        &self,
        tenant: &Tenant<'t>,
        service: &Slug,
    ) -> Result<Private<'t, Versioned<CredentialView>>, Problem> {
        let access = tenant.authorize::<Read<on::Credential>>()?;
        let found = self.store().get::<Credential>(&access, service.as_str()).await?;
        Ok(found.map(|(row, version)| (row.into(), version)))
    }

    /// Removes a credential. A refresh that is under way finds it gone and leaves it so.
    pub async fn delete(
        &self,
        tenant: &Tenant<'_>,
        service: &Slug,
        expected: Option<u64>,
        claim: Option<IdempotencyClaim>,
    ) -> Result<(), Problem> {
        let access = tenant.authorize::<Delete<on::Credential>>()?;
        for _ in 0..ATTEMPTS {
            let found = self.store().get_to_remove::<Credential>(&access, service.as_str()).await;
            let (row, version) = row_if_any(tenant, found)?.ok_or(StoreError::NotFound)?;
            if expected.is_some_and(|expected| expected != version) {
                return Err(StoreError::Stale.into());
            }
            let event = note(tenant, DELETE, "credential", row.id.to_string(), [("service", json!(service))]);
            let commit = Commit::event(event).claiming(claim.clone());
            // At the version that was looked at: it is the one that the event names.
            match self.store().remove::<Credential>(&access, service.as_str(), Some(version), commit).await {
                // A refresh or another request was faster; whether a condition holds still is seen above.
                Err(StoreError::Stale) => {}
                removed => return Ok(removed?),
            }
        }
        // No condition failed, since there was none.
        Err(StoreError::Unavailable.into())
    }
}

/// The row as it stands, to be written back by whoever may change it.
fn row_if_any<'t>(
    tenant: &Tenant<'t>,
    found: Result<Private<'t, Versioned<Credential>>, StoreError>,
) -> Result<Option<Versioned<Credential>>, StoreError> {
    match found {
        Ok(found) => Ok(Some(door::answer(tenant, found)?)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
