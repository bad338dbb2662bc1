//! The end of a tenant. There is nothing to back up: what is in memory is gone with the process.

use crate::MemoryStore;
use async_trait::async_trait;
use audit::merkle::{LeafHashes, root};
use context::Operator;
use ids::{BackupId, TenantId};
use std::path::{Path, PathBuf};
use store::{
    Carrier, ErasedPlace, ErasureReceipt, Exported, Isolation, RestoreOptions, Restored, StoreError,
    TenantLifecycle, TenantMove, WholeBackup, WholeBackups,
};

#[async_trait]
impl WholeBackups for MemoryStore {
    async fn back_up_all(
        &self,
        _: &Operator,
        _: &Path,
        _: &mut dyn Carrier,
    ) -> Result<WholeBackup, StoreError> {
        Err(StoreError::Unavailable)
    }
}

#[async_trait]
impl TenantLifecycle for MemoryStore {
    async fn backup(&self, _: &Operator, _: TenantId, _: &Path) -> Result<BackupId, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn restore(
        &self,
        _: &Operator,
        _: TenantId,
        _: PathBuf,
        _: RestoreOptions,
    ) -> Result<Restored, StoreError> {
        Err(StoreError::Unavailable)
    }

    /// Nothing rests that could be sealed for another deployment.
    async fn export_tenant(&self, _: &Operator, _: TenantId, _: &Path) -> Result<Exported, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn import_tenant(
        &self,
        _: &Operator,
        _: TenantId,
        _: PathBuf,
        _: Option<Isolation>,
    ) -> Result<Exported, StoreError> {
        Err(StoreError::Unavailable)
    }

    /// Nothing rests, so there is nothing to encrypt anew.
    async fn change_data_key(&self, _: &Operator, tenant: TenantId) -> Result<(), StoreError> {
        self.state().platform.row(tenant).map(drop)
    }

    /// There is one kind of home.
    async fn move_tenant(
        &self,
        _: &Operator,
        tenant: TenantId,
        _: Isolation,
    ) -> Result<TenantMove, StoreError> {
        self.state().platform.row(tenant)?;
        Err(StoreError::IsolationUnavailable)
    }

    async fn tenant_move(&self, _: &Operator, tenant: TenantId) -> Result<Option<TenantMove>, StoreError> {
        self.state().platform.row(tenant)?;
        Ok(None)
    }

    async fn erase(&self, _: &Operator, tenant: TenantId) -> Result<ErasureReceipt, StoreError> {
        let mut state = self.state();
        state.platform.row(tenant)?;
        let known = state.tenants.0.remove(&tenant).ok_or(StoreError::NotFound)?;
        let hashes: Vec<_> = known.tables.events.iter().map(|event| event.hash).collect();
        let size = hashes.len() as u64;
        let root = root(&LeafHashes(&hashes), size).map_err(|_| StoreError::TenantUnavailable)?;
        let final_checkpoint = known.log.sign(size, root).to_string();
        state.platform.rows.remove(&tenant);
        state.platform.lines.retain(|_, line| line.tenant != Some(tenant));
        state.platform.uses.retain(|(of, _), _| *of != tenant);
        state.platform.deleted.insert(tenant);
        let place = ErasedPlace {
            place: "memory".into(),
            done: "everything of the tenant was dropped".into(),
            older_copies: "none".into(),
        };
        Ok(ErasureReceipt {
            tenant,
            erased_at: self.env().now(),
            places: vec![place],
            audit_events: size,
            final_checkpoint,
        })
    }

    async fn stored_bytes(&self, _: &Operator, tenant: TenantId) -> Result<u64, StoreError> {
        Ok(self.state().tenants.get(tenant)?.tables.bytes())
    }
}
