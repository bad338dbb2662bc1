//! The answers to operators' repeated requests.

use super::Platform;
use super::index::insert;
use crate::error::Fault;
use authz::OperatorRole;
use context::{IndexedSubject, KeyedHash};
use env::Timestamp;
use ids::KeyId;
use sqlcipher::{Executor, OptionalExtension, params};
use std::sync::Arc;
use store::{IdempotencyClaim, OperatorKeyRow, Remembered, StoreError};

fn operators(connection: &Executor) -> Result<Vec<OperatorKeyRow>, Fault> {
    let mut select = connection
        .prepare_cached("SELECT subject FROM credential WHERE tenant IS NULL ORDER BY subject_id")?;
    let rows = select.query_map([], |row| row.get::<_, String>(0))?;
    let mut keys = Vec::new();
    for subject in rows {
        match serde_json::from_str(&subject?) {
            Ok(IndexedSubject::Operator { id, role, name }) => keys.push(OperatorKeyRow::new(id, name, role)),
            Ok(IndexedSubject::VerifyGrant { .. }) => {}
            _ => return Err(Fault::Damaged("the credential index")),
        }
    }
    Ok(keys)
}

impl Platform {
    /// Adds an operator's line; as the first one, only where there is none. Whether it was added.
    pub(crate) async fn add_operator(
        self: &Arc<Self>,
        hash: KeyedHash,
        subject: IndexedSubject,
        as_first: bool,
    ) -> Result<bool, Fault> {
        self.write(
            move |connection| {
                if as_first && !operators(connection)?.is_empty() {
                    return Ok(false);
                }
                insert(connection, &hash, None, &subject, None)?;
                Ok(true)
            },
            |_| (),
        )
        .await
    }

    /// The operators' keys, by id.
    pub(crate) async fn operator_keys(self: &Arc<Self>) -> Result<Vec<OperatorKeyRow>, Fault> {
        self.read(|connection| operators(connection)).await
    }

    /// Removes an operator's line, but not the last one with the role `admin`. Whether it was removed.
    pub(crate) async fn remove_operator(self: &Arc<Self>, id: KeyId) -> Result<bool, Fault> {
        self.write(
            move |connection| {
                let keys = operators(connection)?;
                let revoked = keys.iter().find(|key| key.id == id).ok_or(StoreError::NotFound)?;
                let admins = keys.iter().filter(|key| key.role == OperatorRole::Admin).count();
                if revoked.role == OperatorRole::Admin && admins == 1 {
                    return Ok(false);
                }
                let delete = "DELETE FROM credential WHERE tenant IS NULL AND subject_id = ?1";
                connection.execute(delete, params![id.to_string()])?;
                Ok(true)
            },
            |cache| cache.lines.clear(),
        )
        .await
    }

    /// The earlier request with this key, unless it is too long ago.
    pub(crate) async fn operator_answer(
        self: &Arc<Self>,
        key: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Remembered>, Fault> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT request, status, body FROM operator_answer WHERE key = ?1 AND until > ?2",
            )?;
            let row = select.query_row(params![key, now.millis()], |row| {
                Ok((row.get(0)?, row.get::<_, Option<u16>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
            });
            Ok(row
                .optional()?
                .map(|(request, status, body)| Remembered { request, answer: status.zip(body) }))
        })
        .await
    }

    /// Claims a key, and forgets those that are kept no longer.
    pub(crate) async fn claim_operator_key(
        self: &Arc<Self>,
        claim: IdempotencyClaim,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.write(
            move |connection| {
                connection.execute("DELETE FROM operator_answer WHERE until <= ?1", params![now.millis()])?;
                let claimed = connection.execute(
                    "INSERT INTO operator_answer(key, request, until) VALUES(?1, ?2, ?3)
                     ON CONFLICT DO NOTHING",
                    params![claim.key, claim.request, claim.until.millis()],
                )?;
                if claimed == 0 { Err(StoreError::Claimed.into()) } else { Ok(()) }
            },
            |_| (),
        )
        .await
    }

    /// Keeps the answer to a request whose key was claimed.
    pub(crate) async fn put_operator_answer(
        self: &Arc<Self>,
        key: [u8; 32],
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), Fault> {
        self.write(
            move |connection| {
                connection.execute(
                    "UPDATE operator_answer SET status = ?2, body = ?3 WHERE key = ?1",
                    params![key, status, body],
                )?;
                Ok(())
            },
            |_| (),
        )
        .await
    }

    /// Gives a key back whose request has no answer.
    pub(crate) async fn release_operator_key(self: &Arc<Self>, key: [u8; 32]) -> Result<(), Fault> {
        self.write(
            move |connection| {
                let release = "DELETE FROM operator_answer WHERE key = ?1 AND status IS NULL";
                connection.execute(release, params![key])?;
                Ok(())
            },
            |_| (),
        )
        .await
    }
}
