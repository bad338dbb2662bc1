//! The end of a tenant, and what it stores. Backups of this backend are the database's own so far.

use super::audit_trail::Proofs;
use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, OWN, Session};
use crate::schema::TENANT_TABLES;
use async_trait::async_trait;
use context::Operator;
use ids::{BackupId, TenantId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{
    Carrier, ErasedPlace, ErasureReceipt, Exported, Isolation, PlatformStore, RestoreOptions, Restored,
    StoreError, TenantLifecycle, TenantMove, WholeBackup, WholeBackups,
};

fn no_backups() -> StoreError {
    StoreError::BackupRefused("Backups of a whole PostgreSQL database are taken with its own tools.".into())
}

impl PostgresStore {
    /// Takes a tenant's keys and rows in one transaction, after its log's last words.
    async fn end(&self, id: TenantId) -> Result<ErasureReceipt, Fault> {
        let handle = self.handle(id).await?;
        let begin = |home: Arc<Home>| async move {
            let (session, _) = home.begin(id, "BEGIN").await?;
            let own = home.isolation();
            if own.is_none() {
                session.batch_execute("SELECT pg_advisory_xact_lock(1952542576)").await?;
            }
            hold_head(&session).await?;
            Ok((session, own))
        };
        let (session, own) = handle.there(begin).await?;
        let (audit_events, final_checkpoint) = Proofs::at(&handle, &session).await?.checkpoint(None).await?;
        let mut rows = 0;
        for table in TENANT_TABLES {
            rows += session.execute_typed(&format!("DELETE FROM {table} WHERE {OWN}"), &[]).await?;
        }
        let erased_at = self.env().now();
        let lines = match own {
            None => self.inner().platform.destroy(&session, id, erased_at).await?,
            // With its keys the tenant is gone; what they opened follows, and then the home.
            Some(isolation) => {
                let platform = &self.inner().platform;
                let change = platform.change().await?;
                let lines = platform.destroy(&change, id, erased_at).await?;
                platform.remove_home(&change, id, isolation).await?;
                change.commit().await?;
                lines
            }
        };
        let deleted = session.commit().await;
        self.forget(id);
        self.inner().homes.forget(id);
        let shared = match own {
            None => {
                deleted?;
                place_of_tables(rows)
            }
            Some(isolation) => self.place_of_home(id, isolation, rows, deleted.is_ok()).await,
        };
        let places = vec![
            place(
                "the tenant's keys",
                "the wrapped keys were deleted, so that nothing sealed under them opens".to_owned(),
                "backups of the database and its write-ahead log have them, wrapped, until they expire",
            ),
            shared,
            place(
                "the credential index",
                format!("{lines} lines were deleted"),
                "the space is used again after the next vacuum; backups have the lines",
            ),
        ];
        Ok(ErasureReceipt { tenant: id, erased_at, places, audit_events, final_checkpoint })
    }

    /// What became of a tenant's own home, once it is gone or the time to wait for that is over.
    async fn place_of_home(
        &self,
        id: TenantId,
        isolation: Isolation,
        rows: u64,
        deleted: bool,
    ) -> ErasedPlace {
        let (name, copies) = match isolation {
            Isolation::Dedicated => ("the tenant's database and role", "backups of it have the rows, sealed"),
            _ => ("the tenant's schema and role", "backups of the database have the rows, sealed"),
        };
        let done = match (self.inner().platform.home_is_gone(id).await, deleted) {
            (true, _) => "they were removed, with all rows".to_owned(),
            (false, true) => format!("{rows} rows were deleted, and the removal waits to be carried out"),
            (false, false) => "the removal waits to be carried out".to_owned(),
        };
        place(name, done, copies)
    }
}

/// Holds the head of the tenant's log, with which nobody else writes. A tenant that has left has none here.
pub(super) async fn hold_head(session: &Session) -> Result<String, Fault> {
    let head = session.query_typed_opt("SELECT data_key FROM log_head FOR UPDATE", &[]).await?;
    Ok(head.ok_or(Fault::KeyGone)?.try_get(0)?)
}

fn place_of_tables(rows: u64) -> ErasedPlace {
    let copies = "the space is used again after the next vacuum; backups have the rows, sealed";
    place("the shared tables", format!("{rows} rows were deleted"), copies)
}

fn place(place: &str, done: String, older_copies: &str) -> ErasedPlace {
    ErasedPlace { place: place.to_owned(), done, older_copies: older_copies.to_owned() }
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
        self.tenant(operator, tenant).await?;
        Ok(self.write_backup(tenant, target).await?)
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

    async fn move_tenant(
        &self,
        _: &Operator,
        tenant: TenantId,
        to: Isolation,
    ) -> Result<TenantMove, StoreError> {
        if !self.isolations().contains(&to) {
            return Err(StoreError::IsolationUnavailable);
        }
        Ok(self.inner().platform.ask_to_move(tenant, to).await?)
    }

    async fn export_tenant(
        &self,
        operator: &Operator,
        tenant: TenantId,
        target: &Path,
    ) -> Result<Exported, StoreError> {
        self.tenant(operator, tenant).await?;
        Ok(self.write_out(tenant, target).await?)
    }

    async fn import_tenant(
        &self,
        _: &Operator,
        tenant: TenantId,
        source: PathBuf,
        isolation: Option<Isolation>,
    ) -> Result<Exported, StoreError> {
        Ok(self.take_in(tenant, source, isolation).await?)
    }

    async fn tenant_move(&self, _: &Operator, tenant: TenantId) -> Result<Option<TenantMove>, StoreError> {
        Ok(self.inner().platform.last_move(tenant).await?)
    }

    async fn stored_bytes(&self, operator: &Operator, tenant: TenantId) -> Result<u64, StoreError> {
        self.tenant(operator, tenant).await?;
        let handle = self.handle(tenant).await?;
        let (_, rows) = handle.read("SELECT stored_bytes FROM log_head", &[]).await?;
        let stored: i64 = rows.first().ok_or(Fault::KeyGone)?.try_get(0).map_err(Fault::from)?;
        Ok(stored.max(0).cast_unsigned())
    }
}
