//! The credential index in memory.

use async_trait::async_trait;
use context::{CredentialIndex, IndexEntry, IndexUnavailable, KeyedHash, TenantStanding};
use ids::TenantId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Lines {
    entries: BTreeMap<KeyedHash, IndexEntry>,
    tenants: BTreeMap<TenantId, TenantStanding>,
}

#[derive(Default)]
pub(crate) struct Index(Mutex<Lines>);

impl Index {
    pub(crate) fn insert(&self, hash: KeyedHash, entry: IndexEntry) {
        self.lock().entries.insert(hash, entry);
    }

    pub(crate) fn put(&self, standing: TenantStanding) {
        self.lock().tenants.insert(standing.id, standing);
    }

    pub(crate) fn get(&self, tenant: TenantId) -> Option<TenantStanding> {
        self.lock().tenants.get(&tenant).cloned()
    }

    pub(crate) fn change(&self, tenant: TenantId, change: impl FnOnce(&mut TenantStanding)) {
        if let Some(standing) = self.lock().tenants.get_mut(&tenant) {
            change(standing);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CredentialIndex for Index {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        let lines = self.lock();
        let Some(mut entry) = lines.entries.get(hash).cloned() else { return Ok(None) };
        // A tenant's standing is the present one, not that of the day when the key was issued.
        entry.tenant = entry.tenant.and_then(|tenant| lines.tenants.get(&tenant.id).cloned());
        Ok(Some(entry))
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        Ok(self.get(tenant))
    }
}
