//! Idempotency keys and the answers that they lead back to.

use crate::EmbeddedStore;
use crate::rows::{Cell, RowChange, Table};
use crate::tenant::Append;
use async_trait::async_trait;
use context::{Private, Tenant};
use env::Timestamp;
use sqlcipher::{OptionalExtension, params};
use store::{IdempotencyClaim, IdempotencyStore, Remembered, StoreError};

#[async_trait]
impl IdempotencyStore for EmbeddedStore {
    async fn remembered<'t>(
        &self,
        tenant: &Tenant<'t>,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Private<'t, Remembered>>, StoreError> {
        let key = *key;
        let found = self
            .read_private(tenant, move |database, _| {
                let mut select = database.connection.prepare_cached(
                    "SELECT request, status, body FROM remembered WHERE key = ?1 AND until > ?2",
                )?;
                let row = select.query_row(params![key, now.millis()], |row| {
                    Ok((row.get(0)?, row.get::<_, Option<u16>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
                });
                Ok(row
                    .optional()?
                    .map(|(request, status, body)| Remembered { request, answer: status.zip(body) }))
            })
            .await?;
        Ok(found.transpose())
    }

    async fn remember(
        &self,
        tenant: &Tenant<'_>,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        let cells = vec![
            Cell::from(claim.key.to_vec()),
            Cell::from(claim.request.to_vec()),
            Cell::from(claim.until),
            Cell::from(i64::from(status)),
            Cell::from(body),
        ];
        let rows = vec![RowChange::Put(Table::Remembered, cells)];
        let handle = self.handle(tenant).await?;
        handle.append(Append { rows, ..Append::default() }).await?;
        Ok(())
    }

    async fn give_back(&self, tenant: &Tenant<'_>, claim: &IdempotencyClaim) -> Result<(), StoreError> {
        let rows = vec![RowChange::Delete(Table::Remembered, vec![Cell::from(claim.key.to_vec())])];
        let handle = self.handle(tenant).await?;
        handle.append(Append { rows, ..Append::default() }).await?;
        Ok(())
    }
}
