//! What the operator does to a tenant as a whole: making it, changing its standing, backing it up,
//! restoring it, erasing it. None of it looks into the tenant's store.

mod remains;

use crate::error::Fault;
use crate::keys::{FIRST_EPOCH, WrappedKeys};
use crate::platform::Making;
use crate::rows::{Cell, RowChange, Table};
use crate::store_impl::operator_log;
use crate::tenant::{Append, TenantHandle, blocking};
use crate::{EmbeddedStore, backup};
use async_trait::async_trait;
use context::{IndexedSubject, KeyedHash, Operator, Tenant};
use env::Timestamp;
use ids::{BackupId, KeyId, Slug, TemplateId, TenantId};
use metering::plan::Plan;
use remains::{places, remove_files};
use secret::SecretBytes;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{
    Endpoint, Endpoints, Entity, ErasureReceipt, Exported, Isolation, NewTenant, PlatformStore,
    RestoreOptions, Restored, StoreError, Template, TenantLifecycle, TenantMove, TenantRow,
};

/// Moves the platform store from the key that the previous master key gives to the present one's.
pub(crate) fn rekey_platform(path: &Path, old: &SecretBytes<32>, new: &SecretBytes<32>) -> Result<(), Fault> {
    let staged = path.with_extension("rekeyed.db");
    crate::files::remove_database(&staged)?;
    let mut options = crate::sqlite::platform_options();
    options.create = false;
    let present = sqlcipher::open(path, old, &options)?;
    present.checkpoint()?;
    present.export_copy(&staged, new)?;
    present.close()?;
    crate::files::replace_database(&staged, path)
}

impl EmbeddedStore {
    /// Wraps every tenant's keys by the present master key. Gives back how many tenants needed it.
    pub async fn rewrap_keys(&self, _: &Operator) -> Result<u64, StoreError> {
        let inner = self.inner();
        let (mut after, mut rewrapped) = (None, 0);
        let mut ids = vec![operator_log()];
        loop {
            let rows = inner.platform.tenant_rows(after, 500).await?;
            after = rows.last().map(|row| row.id);
            ids.extend(rows.iter().map(|row| row.id));
            for id in ids.drain(..) {
                let Some(keys) = inner.platform.wrapped_keys(id).await? else { continue };
                if keys.need_rewrap(inner.kms.as_ref()) {
                    let keys = keys.rewrap(inner.kms.as_ref(), id).await?;
                    inner.platform.replace_keys(id, keys).await?;
                    rewrapped += 1;
                }
            }
            if after.is_none() {
                return Ok(rewrapped);
            }
        }
    }

    /// Removes what is left of tenants whose erasure the end of a server interrupted. Their keys are gone.
    pub(crate) async fn finish_erasures(&self) -> Result<(), Fault> {
        for (tenant, region) in self.inner().platform.unfinished_erasures().await? {
            self.remove_remains(tenant, &region).await?;
        }
        Ok(())
    }

    /// Removes an erased tenant's journal entries and files; gives back how many there were of each.
    pub(crate) async fn remove_remains(
        &self,
        tenant: TenantId,
        region: &Slug,
    ) -> Result<(u64, usize), Fault> {
        let path = self.inner().folder.tenant(region, tenant)?;
        let entries = self.journal(region)?.erase(tenant).await?;
        let removed = blocking(move || remove_files(&path)).await?;
        self.inner().platform.finish_erasure(tenant).await?;
        Ok((entries, removed))
    }

    /// What came of a call, or that there is no such tenant, where it was erased while the call was under way.
    async fn unless_erased<T>(&self, tenant: TenantId, outcome: Result<T, Fault>) -> Result<T, StoreError> {
        if matches!(outcome, Err(Fault::KeyGone)) && self.inner().platform.tenant_row(tenant).await?.is_none()
        {
            return Err(StoreError::NotFound);
        }
        Ok(outcome?)
    }

    /// The size and the last checkpoint of a log that is about to be erased. A store that is too damaged to
    /// be read must be erasable all the same.
    async fn last_words(&self, tenant: TenantId) -> (u64, String) {
        let read = match self.handle_of(tenant).await {
            Ok(handle) => blocking(move || handle.checkpoint()).await,
            Err(fault) => Err(fault),
        };
        read.unwrap_or_else(|fault| {
            tracing::error!(tenant.id = %tenant, %fault, "an erased tenant's log could not be read");
            (0, String::new())
        })
    }

    /// The handle of a tenant that is about to be: its first events go into the journal before the
    /// platform store knows of it, so that a tenant without them cannot be.
    pub(crate) async fn unborn(
        &self,
        row: &TenantRow,
        keys: &WrappedKeys,
        log_epoch: u64,
    ) -> Result<Arc<TenantHandle>, Fault> {
        let inner = self.inner();
        let unwrapped =
            crate::keys::unwrap(inner.kms.as_ref(), row.id, &row.region, inner.log_age(log_epoch), keys)
                .await?;
        let path = inner.folder.tenant(&row.region, row.id)?;
        Ok(TenantHandle::new(
            row.id,
            unwrapped,
            path,
            self.journal(&row.region)?,
            inner.handles.openings(),
            self.env(),
        ))
    }
}

#[async_trait]
impl PlatformStore for EmbeddedStore {
    fn isolations(&self) -> &'static [Isolation] {
        &[Isolation::Embedded]
    }

    async fn create_tenant(&self, _: &Operator, tenant: NewTenant) -> Result<(), StoreError> {
        let NewTenant { row, key_hash, key, key_record, events } = tenant;
        if !self.isolations().contains(&row.isolation) {
            return Err(StoreError::IsolationUnavailable);
        }
        // Entries under another key than the tenant's would make a tenant that is there unreadable.
        self.inner().platform.check_new_tenant(row.clone()).await?;
        let keys = WrappedKeys::make(self.inner().kms.as_ref(), row.id, &self.env()).await?;
        let handle = self.unborn(&row, &keys, FIRST_EPOCH).await?;
        let body = serde_json::to_string(&key_record).map_err(|_| Fault::Damaged("a key's record"))?;
        let cells = vec![
            Cell::from(store::ApiKeyRecord::KIND.as_str()),
            Cell::from(key_record.key()),
            Cell::from(key_record.owner()),
            Cell::from(body),
            Cell::from(1u64),
        ];
        let rows = vec![RowChange::Put(Table::Object, cells)];
        handle.append(Append { rows, events, ..Append::default() }).await?;
        let (id, region) = (row.id, row.region.clone());
        let making = Making { row, keys, credentials: vec![(key_hash, key, None)], log_epoch: FIRST_EPOCH };
        let made = self.inner().platform.make_tenant(making).await;
        if made.is_err() && self.inner().platform.tenant_row(id).await?.is_none() {
            self.journal(&region)?.erase(id).await?;
        }
        Ok(made?)
    }

    async fn tenant(&self, _: &Operator, id: TenantId) -> Result<TenantRow, StoreError> {
        self.inner().platform.tenant_row(id).await?.ok_or(StoreError::NotFound)
    }

    async fn tenants(
        &self,
        _: &Operator,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRow>, StoreError> {
        Ok(self.inner().platform.tenant_rows(after, limit).await?)
    }

    async fn update_tenant(&self, _: &Operator, mut row: TenantRow) -> Result<TenantRow, StoreError> {
        row.version += 1;
        self.inner().platform.change_tenant(row.clone()).await?;
        Ok(row)
    }

    async fn plan(&self, name: &Slug) -> Result<Plan, StoreError> {
        Ok(self.inner().platform.plan(name.clone()).await?)
    }

    async fn put_plan(&self, _: &Operator, plan: Plan) -> Result<(), StoreError> {
        Ok(self.inner().platform.put_plan(plan).await?)
    }

    async fn publish_template(
        &self,
        _: &Operator,
        id: TemplateId,
        name: &Slug,
        definition: String,
        now: Timestamp,
    ) -> Result<Template, StoreError> {
        Ok(self.inner().platform.publish(id, name.clone(), definition, now).await?)
    }

    async fn withdraw_template(&self, _: &Operator, name: &Slug) -> Result<(), StoreError> {
        Ok(self.inner().platform.withdraw(name.clone()).await?)
    }

    async fn template(&self, name: &Slug, version: Option<u32>) -> Result<Template, StoreError> {
        Ok(self.inner().platform.template(name.clone(), version).await?)
    }

    async fn templates(&self, after: Option<&Slug>, limit: u32) -> Result<Vec<Template>, StoreError> {
        Ok(self.inner().platform.templates(after.cloned(), limit).await?)
    }

    async fn endpoints(&self) -> Result<Endpoints, StoreError> {
        Ok(self.inner().platform.endpoints().await?)
    }

    async fn put_endpoint(&self, _: &Operator, endpoint: Endpoint) -> Result<(), StoreError> {
        Ok(self.inner().platform.put_endpoint(endpoint).await?)
    }

    async fn index_credential(
        &self,
        tenant: &Tenant<'_>,
        hash: KeyedHash,
        subject: IndexedSubject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        Ok(self.inner().platform.add_credential(hash, Some(tenant.id()), subject, expires_at).await?)
    }

    async fn has_operators(&self) -> Result<bool, StoreError> {
        Ok(self.inner().platform.has_operators().await?)
    }

    async fn revoke_credential(&self, tenant: &Tenant<'_>, subject_id: &str) -> Result<(), StoreError> {
        Ok(self.inner().platform.remove_credential(tenant.id(), subject_id.to_owned()).await?)
    }

    async fn last_uses(&self, tenant: &Tenant<'_>) -> Result<HashMap<KeyId, Timestamp>, StoreError> {
        Ok(self.inner().platform.last_uses(tenant.id()).await?)
    }

    async fn own_worker_seen(&self, _: &Tenant<'_>) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn pool_seen(&self, _: &Slug) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.inner().platform.has_operators().await?;
        self.probe_journals().await
    }
}

#[async_trait]
impl TenantLifecycle for EmbeddedStore {
    async fn backup(
        &self,
        operator: &Operator,
        tenant: TenantId,
        target: &Path,
    ) -> Result<BackupId, StoreError> {
        let generation = self.tenant(operator, tenant).await?.generation;
        let (target, env) = (target.to_owned(), self.env());
        let written = async {
            let handle = self.handle_of(tenant).await?;
            blocking(move || backup::write(&handle, generation, &target, &env)).await
        };
        self.unless_erased(tenant, written.await).await
    }

    async fn restore(
        &self,
        operator: &Operator,
        tenant: TenantId,
        source: PathBuf,
        options: RestoreOptions,
    ) -> Result<Restored, StoreError> {
        let generation = self.tenant(operator, tenant).await?.generation;
        let restored = self.restore_tenant(tenant, generation, source, options).await;
        self.unless_erased(tenant, restored).await
    }

    async fn change_data_key(&self, operator: &Operator, tenant: TenantId) -> Result<(), StoreError> {
        self.tenant(operator, tenant).await?;
        let changed = EmbeddedStore::change_data_key(self, tenant).await;
        self.unless_erased(tenant, changed).await
    }

    /// There is one kind of home.
    async fn move_tenant(
        &self,
        operator: &Operator,
        tenant: TenantId,
        _: Isolation,
    ) -> Result<TenantMove, StoreError> {
        self.tenant(operator, tenant).await?;
        Err(StoreError::IsolationUnavailable)
    }

    async fn export_tenant(
        &self,
        operator: &Operator,
        tenant: TenantId,
        target: &Path,
    ) -> Result<Exported, StoreError> {
        self.tenant(operator, tenant).await?;
        let written = self.write_out(tenant, target).await;
        self.unless_erased(tenant, written).await
    }

    /// There is one kind of home.
    async fn import_tenant(
        &self,
        _: &Operator,
        tenant: TenantId,
        source: PathBuf,
        isolation: Option<Isolation>,
    ) -> Result<Exported, StoreError> {
        if isolation.is_some_and(|isolation| isolation != Isolation::Embedded) {
            return Err(StoreError::IsolationUnavailable);
        }
        Ok(self.take_in(tenant, source).await?)
    }

    async fn tenant_move(
        &self,
        operator: &Operator,
        tenant: TenantId,
    ) -> Result<Option<TenantMove>, StoreError> {
        self.tenant(operator, tenant).await?;
        Ok(None)
    }

    async fn erase(&self, operator: &Operator, tenant: TenantId) -> Result<ErasureReceipt, StoreError> {
        let row = self.tenant(operator, tenant).await?;
        let (audit_events, final_checkpoint) = self.last_words(tenant).await;
        let inner = self.inner();
        let erased_at = self.env().now();
        // The key first: from here on nobody can come to use the tenant, and what is left opens no more.
        let lines = inner.platform.destroy_tenant(tenant, erased_at).await?;
        inner.handles.discard(tenant).await?;
        let emptied = inner.platform.checkpoint().await?;
        let (entries, removed) = self.remove_remains(tenant, &row.region).await?;
        let places = places(lines, emptied, entries, removed);
        Ok(ErasureReceipt { tenant, erased_at, places, audit_events, final_checkpoint })
    }

    async fn stored_bytes(&self, _: &Operator, tenant: TenantId) -> Result<u64, StoreError> {
        let handle = self.handle_of(tenant).await?;
        Ok(handle.read(|database| database.bytes()).await?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
