//! The credential index: what authentication reads, and what issuing and revoking write.

use super::Platform;
use super::cache::Line;
use super::tenants::standing;
use crate::error::Fault;
use context::{IndexEntry, IndexedSubject, KeyedHash, TenantStanding};
use env::Timestamp;
use ids::{Id, KeyId, TenantId};
use sqlcipher::{Executor, OptionalExtension, params};
use std::collections::HashMap;
use std::sync::Arc;
use store::StoreError;
use store_core::portable::Credential;

/// The id that a subject has, by which it is revoked.
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

/// Adds a line, in the caller's transaction.
pub(super) fn insert(
    connection: &Executor,
    hash: &KeyedHash,
    tenant: Option<TenantId>,
    subject: &IndexedSubject,
    expires_at: Option<Timestamp>,
) -> Result<(), Fault> {
    let text = serde_json::to_string(subject).map_err(|_| Fault::Damaged("a credential's subject"))?;
    let values = params![
        hash.0,
        tenant.map(Id::to_bytes),
        subject_id(subject),
        text,
        expires_at.map(Timestamp::millis)
    ];
    connection
        .prepare_cached(
            "INSERT INTO credential(hash, tenant, subject_id, subject, expires_at) VALUES(?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(values)?;
    Ok(())
}

fn find(connection: &Executor, hash: &KeyedHash) -> Result<Option<Line>, Fault> {
    let mut select =
        connection.prepare_cached("SELECT subject, tenant, expires_at FROM credential WHERE hash = ?1")?;
    let row = select.query_row(params![hash.0], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<[u8; 16]>>(1)?, row.get::<_, Option<i64>>(2)?))
    });
    let Some((subject, tenant, expires_at)) = row.optional()? else { return Ok(None) };
    let subject = serde_json::from_str(&subject).map_err(|_| Fault::Damaged("the credential index"))?;
    Ok(Some(Line {
        subject: Arc::new(subject),
        tenant: tenant.map(TenantId::from_bytes),
        expires_at: expires_at.map(Timestamp::from_millis),
    }))
}

fn remove(connection: &Executor, tenant: TenantId, subjects: &[String]) -> Result<(), Fault> {
    let mut delete =
        connection.prepare_cached("DELETE FROM credential WHERE tenant = ?1 AND subject_id = ?2")?;
    for subject in subjects {
        delete.execute(params![tenant.to_bytes(), subject])?;
    }
    Ok(())
}

fn of_tenant(connection: &Executor, tenant: TenantId) -> Result<Vec<Credential>, Fault> {
    let mut select =
        connection.prepare_cached("SELECT hash, subject, expires_at FROM credential WHERE tenant = ?1")?;
    let rows = select.query_map(params![tenant.to_bytes()], |row| {
        Ok((KeyedHash(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    let line = |row: Result<(KeyedHash, String, Option<i64>), _>| {
        let (hash, subject, end) = row?;
        let subject = serde_json::from_str(&subject).map_err(|_| Fault::Damaged("the credential index"))?;
        Ok(Credential::new(hash, subject, end.map(Timestamp::from_millis)))
    };
    rows.map(line).collect()
}

impl Platform {
    /// A tenant's lines.
    pub(crate) async fn credentials_of(self: &Arc<Self>, tenant: TenantId) -> Result<Vec<Credential>, Fault> {
        self.read(move |connection| of_tenant(connection, tenant)).await
    }

    /// What a credential stands for, with its tenant's standing.
    pub(crate) async fn credential(self: &Arc<Self>, hash: &KeyedHash) -> Result<Option<IndexEntry>, Fault> {
        let Some(line) = self.line(hash).await? else { return Ok(None) };
        let tenant = match line.tenant {
            None => None,
            Some(id) => match self.standing(id).await? {
                // The tenant is gone, and its lines go with it.
                None => return Ok(None),
                Some(standing) => Some(standing),
            },
        };
        if let (IndexedSubject::ApiKey { id, .. }, Some(tenant)) = (line.subject.as_ref(), line.tenant) {
            let minute = self.env.now().millis() / 60_000 * 60_000;
            self.cache().used(*id, tenant, Timestamp::from_millis(minute));
        }
        Ok(Some(IndexEntry { subject: (*line.subject).clone(), tenant, expires_at: line.expires_at }))
    }

    async fn line(self: &Arc<Self>, hash: &KeyedHash) -> Result<Option<Line>, Fault> {
        let hash = *hash;
        let generation = {
            let mut cache = self.cache();
            if let Some(line) = cache.lines.get(&hash) {
                return Ok(Some(line.clone()));
            }
            cache.generation()
        };
        // What is not there is not remembered: an outsider's guesses would fill the memory.
        let found = self.read(move |connection| find(connection, &hash)).await?;
        if let Some(line) = &found {
            self.cache().keep(generation, |cache| {
                cache.lines.put(hash, line.clone());
            });
        }
        Ok(found)
    }

    /// A tenant's standing.
    pub(crate) async fn standing(self: &Arc<Self>, id: TenantId) -> Result<Option<TenantStanding>, Fault> {
        let generation = {
            let mut cache = self.cache();
            if let Some(standing) = cache.standings.get(&id) {
                return Ok(Some(standing.clone()));
            }
            cache.generation()
        };
        let found = self.read(move |connection| standing(connection, id)).await?;
        if let Some(standing) = &found {
            self.cache().keep(generation, |cache| {
                cache.standings.put(id, standing.clone());
            });
        }
        Ok(found)
    }

    /// Adds a line. It holds from the next request on.
    pub(crate) async fn add_credential(
        self: &Arc<Self>,
        hash: KeyedHash,
        tenant: Option<TenantId>,
        subject: IndexedSubject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Fault> {
        self.write(
            move |connection| {
                if let Some(tenant) = tenant
                    && standing(connection, tenant)?.is_none()
                {
                    return Err(StoreError::NotFound.into());
                }
                insert(connection, &hash, tenant, &subject, expires_at)
            },
            |_| (),
        )
        .await
    }

    /// Whether there is any operator's line.
    pub(crate) async fn has_operators(self: &Arc<Self>) -> Result<bool, Fault> {
        self.read(|connection| {
            let exists = "SELECT EXISTS(SELECT 1 FROM credential WHERE tenant IS NULL)";
            Ok(connection.query_row(exists, [], |row| row.get(0))?)
        })
        .await
    }

    /// Removes the lines of one subject of one tenant. Holds from the next request on.
    pub(crate) async fn remove_credential(
        self: &Arc<Self>,
        tenant: TenantId,
        subject_id: String,
    ) -> Result<(), Fault> {
        self.write(
            move |connection| remove(connection, tenant, &[subject_id]),
            move |cache| cache.forget_lines(tenant),
        )
        .await
    }

    /// The ids of all subjects of one tenant.
    pub(crate) async fn subjects(self: &Arc<Self>, tenant: TenantId) -> Result<Vec<String>, Fault> {
        self.read(move |connection| {
            let mut select =
                connection.prepare_cached("SELECT subject_id FROM credential WHERE tenant = ?1")?;
            let rows = select.query_map(params![tenant.to_bytes()], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What the lines of one tenant stand for, and when each ends.
    pub(crate) async fn lines_of(
        self: &Arc<Self>,
        tenant: TenantId,
    ) -> Result<Vec<(IndexedSubject, Option<Timestamp>)>, Fault> {
        self.read(move |connection| {
            let mut select =
                connection.prepare_cached("SELECT subject, expires_at FROM credential WHERE tenant = ?1")?;
            let mut rows = select.query(params![tenant.to_bytes()])?;
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                let (subject, end): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
                let subject =
                    serde_json::from_str(&subject).map_err(|_| Fault::Damaged("the credential index"))?;
                lines.push((subject, end.map(Timestamp::from_millis)));
            }
            Ok(lines)
        })
        .await
    }

    /// Removes the lines of these subjects of one tenant. For blocking threads.
    pub(crate) fn remove_subjects(&self, tenant: TenantId, subjects: &[String]) -> Result<(), Fault> {
        self.write_now(|connection| remove(connection, tenant, subjects), |cache| cache.forget_lines(tenant))
    }

    /// When the keys of this tenant were last used, to the minute.
    pub(crate) async fn last_uses(
        self: &Arc<Self>,
        tenant: TenantId,
    ) -> Result<HashMap<KeyId, Timestamp>, Fault> {
        let mut uses: HashMap<_, _> = self
            .read(move |connection| {
                let mut select =
                    connection.prepare_cached("SELECT key, at FROM key_use WHERE tenant = ?1")?;
                let rows = select.query_map(params![tenant.to_bytes()], |row| {
                    Ok((KeyId::from_bytes(row.get(0)?), Timestamp::from_millis(row.get(1)?)))
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await?;
        uses.extend(self.cache().last_uses(tenant));
        Ok(uses)
    }

    /// Writes down when keys were last used, if a minute is over since it was done.
    pub(crate) async fn write_due_uses(self: &Arc<Self>) -> Result<(), Fault> {
        let due = self.cache().uses_are_due(self.env.now());
        if due { self.write_uses().await } else { Ok(()) }
    }

    /// Writes down when keys were last used. Called now and then, not per request.
    pub(crate) async fn write_uses(self: &Arc<Self>) -> Result<(), Fault> {
        let uses = self.cache().take_uses(self.env.now());
        if uses.is_empty() {
            return Ok(());
        }
        self.write(
            move |connection| {
                let mut put = connection
                    // Not of a tenant that was deleted meanwhile.
                    .prepare_cached(
                        "INSERT OR REPLACE INTO key_use(key, tenant, at)
                         SELECT ?1, ?2, ?3 WHERE EXISTS(SELECT 1 FROM tenant WHERE id = ?2)",
                    )?;
                for (key, tenant, at) in uses {
                    put.execute(params![key.to_bytes(), tenant.to_bytes(), at.millis()])?;
                }
                Ok(())
            },
            |_| (),
        )
        .await
    }
}
