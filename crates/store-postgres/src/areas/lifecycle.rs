//! The end of a tenant, and what it stores. Backups of this backend are the database's own so far.

use super::audit_trail::Proofs;
use crate::PostgresStore;
use crate::error::Fault;
use crate::schema::TENANT_TABLES;
use async_trait::async_trait;
use context::Operator;
use ids::{BackupId, TenantId};
use std::path::{Path, PathBuf};
use store::{
    Carrier, ErasedPlace, ErasureReceipt, PlatformStore, RestoreOptions, Restored, StoreError,
    TenantLifecycle, WholeBackup, WholeBackups,
};

fn no_backups() -> StoreError {
    StoreError::BackupRefused("Backups of a whole PostgreSQL database are taken with its own tools.".into())
}

impl PostgresStore {
    /// Takes a tenant's keys and rows in one transaction, after its log's last words.
    async fn end(&self, id: TenantId) -> Result<ErasureReceipt, Fault> {
        let handle = self.handle(id).await?;
        let (session, _) = self.home().begin(id, "BEGIN").await?;
        session
            .batch_execute("SELECT pg_advisory_xact_lock(1952542576); SELECT 1 FROM log_head FOR UPDATE")
            .await?;
        let (audit_events, final_checkpoint) = Proofs::at(&handle, &session).await?.checkpoint(None).await?;
        let mut rows = 0;
        for table in TENANT_TABLES {
            rows += session.execute_typed(&format!("DELETE FROM {table}"), &[]).await?;
        }
        let erased_at = self.env().now();
        let lines = self.inner().platform.destroy(&session, id, erased_at).await?;
        session.commit().await?;
        self.forget(id);
        let place = |place: &str, done: String, older_copies: &str| ErasedPlace {
            place: place.to_owned(),
            done,
            older_copies: older_copies.to_owned(),
        };
        let places = vec![
            place(
                "the tenant's keys",
                "the wrapped keys were deleted, so that nothing sealed under them opens".to_owned(),
                "backups of the database and its write-ahead log have them, wrapped, until they expire",
            ),
            place(
                "the shared tables",
                format!("{rows} rows were deleted"),
                "the space is used again after the next vacuum; backups have the rows, sealed",
            ),
            place("the credential index", format!("{lines} lines were deleted"), "as of the shared tables"),
        ];
        Ok(ErasureReceipt { tenant: id, erased_at, places, audit_events, final_checkpoint })
    }
}

#[async_trait]
impl WholeBackups for PostgresStore {
    async fn back_up_all(
        &self,
        _: &Operator,
        _: &Path,
        _: &mut dyn Carrier,
    ) -> Result<WholeBackup, StoreError> {
        Err(no_backups())
    }
}

#[async_trait]
impl TenantLifecycle for PostgresStore {
    async fn backup(
        &self,
        operator: &Operator,
        tenant: TenantId,
        target: &Path,
    ) -> Result<BackupId, StoreError> {
        let generation = self.tenant(operator, tenant).await?.generation;
        Ok(self.write_backup(tenant, generation, target).await?)
    }

    async fn restore(
        &self,
        operator: &Operator,
        tenant: TenantId,
        source: PathBuf,
        options: RestoreOptions,
    ) -> Result<Restored, StoreError> {
        self.tenant(operator, tenant).await?;
        Ok(self.restore_tenant(tenant, source, options).await?)
    }

    async fn change_data_key(&self, operator: &Operator, tenant: TenantId) -> Result<(), StoreError> {
        self.tenant(operator, tenant).await?;
        Ok(self.seal_anew(tenant).await?)
    }

    async fn erase(&self, operator: &Operator, tenant: TenantId) -> Result<ErasureReceipt, StoreError> {
        self.tenant(operator, tenant).await?;
        Ok(self.end(tenant).await?)
    }

    async fn stored_bytes(&self, operator: &Operator, tenant: TenantId) -> Result<u64, StoreError> {
        self.tenant(operator, tenant).await?;
        let handle = self.handle(tenant).await?;
        let (_, rows) = handle.home.read(tenant, "SELECT stored_bytes FROM log_head", &[]).await?;
        let stored: i64 = rows.first().ok_or(Fault::KeyGone)?.try_get(0).map_err(Fault::from)?;
        Ok(stored.max(0).cast_unsigned())
    }
}
