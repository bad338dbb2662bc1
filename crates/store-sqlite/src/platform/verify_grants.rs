//! Grants to run the attack suite, and the tenants that they made.

use super::Platform;
use crate::error::Fault;
use context::IndexedSubject;
use env::Timestamp;
use ids::{Id as _, KeyId, TenantId};
use sqlcipher::{Executor, params};
use std::sync::Arc;
use store::{StoreError, VerifyGrantRow};

fn grants(connection: &Executor) -> Result<Vec<VerifyGrantRow>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT subject, expires_at FROM credential WHERE tenant IS NULL ORDER BY subject_id",
    )?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?)))?;
    let mut grants = Vec::new();
    for row in rows {
        let (subject, expires_at) = row?;
        let subject = serde_json::from_str(&subject).map_err(|_| Fault::Damaged("the credential index"))?;
        if let (IndexedSubject::VerifyGrant { id, name, tenants }, Some(end)) = (subject, expires_at) {
            grants.push(VerifyGrantRow { id, name, tenants, expires_at: Timestamp::from_millis(end) });
        }
    }
    Ok(grants)
}

impl Platform {
    /// The grants, by id.
    pub(crate) async fn verify_grants(self: &Arc<Self>) -> Result<Vec<VerifyGrantRow>, Fault> {
        self.read(|connection| grants(connection)).await
    }

    /// Removes a grant's line.
    pub(crate) async fn remove_verify_grant(self: &Arc<Self>, id: KeyId) -> Result<(), Fault> {
        self.write(
            move |connection| {
                if !grants(connection)?.iter().any(|grant| grant.id == id) {
                    return Err(StoreError::NotFound.into());
                }
                let delete = "DELETE FROM credential WHERE tenant IS NULL AND subject_id = ?1";
                connection.execute(delete, params![id.to_string()])?;
                Ok(())
            },
            |cache| cache.lines.clear(),
        )
        .await
    }

    /// The tenants that a grant made and that are there, each with its slot.
    pub(crate) async fn throwaways(self: &Arc<Self>, grant: KeyId) -> Result<Vec<(TenantId, u32)>, Fault> {
        self.read(move |connection| {
            let mut select = connection
                .prepare_cached("SELECT id, throwaway_slot FROM tenant WHERE throwaway_grant = ?1")?;
            let rows = select.query_map(params![grant.to_string()], |row| {
                Ok((TenantId::from_bytes(row.get(0)?), row.get(1)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
