//! The credential index.

use super::{Platform, bytes_of};
use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Session, params};
use async_trait::async_trait;
use context::{CredentialIndex, IndexEntry, IndexUnavailable, IndexedSubject, KeyedHash, TenantStanding};
use env::Timestamp;
use ids::{Id as _, KeyId, TenantId};
use std::collections::HashMap;
use std::sync::PoisonError;
use store::StoreError;
use store_core::portable::Credential;

/// The id by which a subject is revoked.
pub(crate) fn subject_id(subject: &IndexedSubject) -> String {
    match subject {
        IndexedSubject::ApiKey { id, .. }
        | IndexedSubject::Operator { id, .. }
        | IndexedSubject::VerifyGrant { id, .. }
        | IndexedSubject::Worker { id } => id.to_string(),
        IndexedSubject::SigningKey { id, .. } => id.to_string(),
        IndexedSubject::Hook { id, .. } => id.to_string(),
    }
}

/// A subject as it is stored.
pub(super) fn subject(text: &str) -> Result<IndexedSubject, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Damaged("the credential index"))
}

/// Puts a line.
pub(super) async fn insert(
    session: &Session,
    hash: &KeyedHash,
    tenant: Option<TenantId>,
    subject: &IndexedSubject,
    expires_at: Option<Timestamp>,
) -> Result<(), Fault> {
    let text = serde_json::to_string(subject).map_err(|_| Fault::Damaged("a credential's subject"))?;
    let tenant = tenant.map(|id| id.to_bytes().to_vec());
    session
        .execute_typed(
            "INSERT INTO tenantry.credential(hash, tenant, subject_id, subject, expires_at)
             VALUES($1, $2, $3, $4, $5)",
            params![hash.0.as_slice() => BYTEA, tenant => BYTEA, subject_id(subject) => TEXT, text => TEXT,
                expires_at.map(Timestamp::millis) => INT8],
        )
        .await?;
    Ok(())
}

impl Platform {
    pub(crate) async fn credential(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, Fault> {
        let find = "SELECT subject, tenant, expires_at FROM tenantry.credential WHERE hash = $1";
        let rows = self.query(find, params![hash.0.as_slice() => BYTEA]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let subject = subject(row.try_get(0)?)?;
        let tenant = match row.try_get::<_, Option<&[u8]>>(1)? {
            None => None,
            Some(_) => match self.standing(super::id_of(row, 1)?).await? {
                // The tenant is gone, and its lines go with it.
                None => return Ok(None),
                Some(standing) => Some(standing),
            },
        };
        let end: Option<i64> = row.try_get(2)?;
        Ok(Some(IndexEntry { subject, tenant, expires_at: end.map(Timestamp::from_millis) }))
    }

    /// Notes that a key was used, once a minute.
    pub(crate) async fn used(&self, tenant: TenantId, key: KeyId) -> Result<(), Fault> {
        let minute = self.env.now().millis() / 60_000 * 60_000;
        let before = self.uses.lock().unwrap_or_else(PoisonError::into_inner).put((tenant, key), minute);
        if before == Some(minute) {
            return Ok(());
        }
        self.execute(
            "INSERT INTO tenantry.key_use(tenant, key, at)
             SELECT $1, $2, $3 WHERE EXISTS(SELECT 1 FROM tenantry.tenant WHERE id = $1)
             ON CONFLICT (tenant, key) DO UPDATE SET at = greatest(key_use.at, $3)",
            params![tenant.to_bytes().as_slice() => BYTEA, key.to_bytes().as_slice() => BYTEA, minute => INT8],
        )
        .await?;
        Ok(())
    }

    pub(crate) async fn last_uses(&self, tenant: TenantId) -> Result<HashMap<KeyId, Timestamp>, Fault> {
        let select = "SELECT key, at FROM tenantry.key_use WHERE tenant = $1";
        let rows = self.query(select, params![tenant.to_bytes().as_slice() => BYTEA]).await?;
        rows.iter()
            .map(|row| Ok((KeyId::from_bytes(bytes_of(row, 0)?), Timestamp::from_millis(row.try_get(1)?))))
            .collect()
    }

    /// When any of the tokens of the tenant's own worker was last used.
    pub(crate) async fn own_worker_seen(&self, tenant: TenantId) -> Result<Option<Timestamp>, Fault> {
        let uses = self.last_uses(tenant).await?;
        let lines = "SELECT subject FROM tenantry.credential WHERE tenant = $1";
        let mut seen = None;
        for row in self.query(lines, params![tenant.to_bytes().as_slice() => BYTEA]).await? {
            if let IndexedSubject::Worker { id } = subject(row.try_get(0)?)? {
                seen = seen.max(uses.get(&id).copied());
            }
        }
        Ok(seen)
    }

    pub(crate) async fn add_credential(
        &self,
        hash: KeyedHash,
        tenant: Option<TenantId>,
        subject: IndexedSubject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Fault> {
        let session = self.change().await?;
        if let Some(tenant) = tenant
            && super::tenants::find(&session, tenant).await?.is_none()
        {
            session.roll_back().await?;
            return Err(StoreError::NotFound.into());
        }
        insert(&session, &hash, tenant, &subject, expires_at).await?;
        session.commit().await
    }

    pub(crate) async fn remove_credential(&self, tenant: TenantId, subject_id: &str) -> Result<(), Fault> {
        let remove = "DELETE FROM tenantry.credential WHERE tenant = $1 AND subject_id = $2";
        self.execute(remove, params![tenant.to_bytes().as_slice() => BYTEA, subject_id => TEXT]).await?;
        self.known.forget();
        Ok(())
    }

    /// A tenant's lines, but for its own worker's, which is not where the tenant goes.
    pub(crate) async fn credentials_of(&self, tenant: TenantId) -> Result<Vec<Credential>, Fault> {
        let select = "SELECT hash, subject, expires_at FROM tenantry.credential WHERE tenant = $1";
        let rows = self.query(select, params![tenant.to_bytes().as_slice() => BYTEA]).await?;
        let lines = rows.iter().map(|row| {
            let end: Option<i64> = row.try_get(2)?;
            let (hash, subject) = (KeyedHash(bytes_of(row, 0)?), subject(row.try_get(1)?)?);
            Ok(Credential::new(hash, subject, end.map(Timestamp::from_millis)))
        });
        let lines: Vec<Credential> = lines.collect::<Result<_, Fault>>()?;
        Ok(lines.into_iter().filter(|it| !matches!(it.subject, IndexedSubject::Worker { .. })).collect())
    }

    pub(crate) async fn has_operators(&self) -> Result<bool, Fault> {
        let rows = self.query("SELECT 1 FROM tenantry.credential WHERE tenant IS NULL LIMIT 1", &[]).await?;
        Ok(!rows.is_empty())
    }
}

#[async_trait]
impl CredentialIndex for PostgresStore {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        let platform = &self.inner().platform;
        let found = async {
            let entry = platform.known_credential(hash).await?;
            if let Some(IndexEntry {
                subject: IndexedSubject::ApiKey { id, .. } | IndexedSubject::Worker { id },
                tenant: Some(tenant),
                ..
            }) = &entry
            {
                platform.used(tenant.id, *id).await?;
            }
            Ok(entry)
        };
        found.await.map_err(unavailable)
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        self.inner().platform.known_standing(tenant).await.map_err(unavailable)
    }
}

fn unavailable(fault: Fault) -> IndexUnavailable {
    tracing::error!(%fault, "the credential index could not be read");
    IndexUnavailable
}
