//! Idempotency keys and what they were answered.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::params;
use crate::platform::bytes_of;
use crate::tenant::Txn;
use async_trait::async_trait;
use context::{Private, Tenant};
use env::Timestamp;
use store::{Commit, IdempotencyClaim, IdempotencyStore, Remembered, StoreError};

#[async_trait]
impl IdempotencyStore for PostgresStore {
    async fn remembered<'t>(
        &self,
        tenant: &Tenant<'t>,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Private<'t, Remembered>>, StoreError> {
        let select = "SELECT request, status, body FROM remembered WHERE key = $1 AND until > $2";
        let values = params![key.as_slice() => BYTEA, now.millis() => INT8];
        let found = self.read(tenant, select, values, |handle, rows| {
            let Some(row) = rows.first() else { return Ok(None) };
            let name = hex::encode(key);
            let open = |sealed: &[u8]| handle.open_bytes("remembered", &[&name], sealed);
            let body = row.try_get::<_, Option<&[u8]>>(2)?.map(open).transpose()?;
            let status = row.try_get::<_, Option<i64>>(1)?.map(u16::try_from).transpose();
            let status = status.map_err(|_| Fault::Damaged("a remembered answer"))?;
            Ok(Some(Remembered { request: bytes_of(row, 0)?, answer: status.zip(body) }))
        });
        Ok(found.await?.transpose())
    }

    async fn remember(
        &self,
        tenant: &Tenant<'_>,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        let (handle, claim) = (self.handle(tenant.id()).await?, claim.clone());
        let work = move |txn: Txn| async move { txn.put_claim(&claim, Some((status, body))).await };
        handle.write(Commit::default(), work).await?;
        Ok(())
    }

    async fn give_back(&self, tenant: &Tenant<'_>, claim: &IdempotencyClaim) -> Result<(), StoreError> {
        let (handle, key) = (self.handle(tenant.id()).await?, claim.key);
        let work = move |txn: Txn| async move {
            let remove = "DELETE FROM remembered WHERE key = $1";
            txn.execute_typed(remove, params![key.as_slice() => BYTEA]).await?;
            Ok(())
        };
        handle.write(Commit::default(), work).await?;
        Ok(())
    }
}
