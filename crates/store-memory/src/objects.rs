//! Objects and idempotency keys.

use crate::{MemoryStore, page};
use async_trait::async_trait;
use context::{Private, Tenant};
use env::Timestamp;
use ids::TenantId;
use kms::Purpose;
use secret::SecretBytes;
use store::{
    Commit, IdempotencyClaim, IdempotencyStore, KeyPurpose, Object, ObjectKind, ObjectScope, ObjectStore,
    Page, PageRequest, PendingWork, Remembered, StoreError, TenantKeyring, WorkIndex, WorkKind,
};

fn within(object: &Object, scope: &ObjectScope<'_>) -> bool {
    scope.only_of().is_none() || object.owner.as_deref() == scope.only_of()
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn read_object<'t>(
        &self,
        scope: ObjectScope<'t>,
        id: &str,
    ) -> Result<Private<'t, Object>, StoreError> {
        self.read(scope.tenant(), |known| {
            let found = known.tables.objects.get(&(scope.kind(), id.to_owned()));
            found.filter(|object| within(object, &scope)).cloned().ok_or(StoreError::NotFound)
        })
    }

    async fn list_objects<'t>(
        &self,
        scope: ObjectScope<'t>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Object>>, StoreError> {
        let kind = scope.kind();
        self.read(scope.tenant(), |known| {
            let list = format!("object/{}", kind.as_str());
            let after: String = page::place(known, &list, page)?.unwrap_or_default();
            let objects = known.tables.objects.iter();
            let objects =
                objects.filter(|((of, id), object)| *of == kind && *id > after && within(object, &scope));
            Ok(page::cut(known, &list, page, objects.map(|(_, object)| object.clone()), |it| it.id.clone()))
        })
    }

    async fn write_object(
        &self,
        scope: ObjectScope<'_>,
        mut object: Object,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let (kind, limits) = (scope.kind(), scope.tenant().standing().limits.clone());
        let mut version = 0;
        self.write(scope.tenant(), commit, |tables| {
            let key = (kind, object.id.clone());
            let found = tables.objects.get(&key).map_or(0, |object| object.version);
            match expected {
                Some(0) if found > 0 => {
                    return Err(StoreError::Exists(format!("{} {}", kind.as_str(), object.id)));
                }
                Some(expected) if expected != found => return Err(StoreError::Stale),
                _ => {}
            }
            tables.admit(&limits, object.body.to_string().len())?;
            version = found + 1;
            object.version = version;
            tables.objects.insert(key, object);
            Ok(())
        })?;
        Ok(version)
    }

    async fn remove_object(
        &self,
        scope: ObjectScope<'_>,
        id: &str,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.write(scope.tenant(), commit, |tables| {
            let key = (scope.kind(), id.to_owned());
            let found = tables.objects.get(&key).filter(|it| within(it, &scope));
            let version = found.ok_or(StoreError::NotFound)?.version;
            if expected.is_some_and(|expected| expected != version) {
                return Err(StoreError::Stale);
            }
            tables.objects.remove(&key);
            Ok(())
        })
        .map(drop)
    }
}

#[async_trait]
impl IdempotencyStore for MemoryStore {
    async fn remembered<'t>(
        &self,
        tenant: &Tenant<'t>,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Private<'t, Remembered>>, StoreError> {
        let found = self.read(tenant, |known| {
            let found = known.tables.claims.get(key).filter(|(claim, _)| claim.until > now);
            Ok(found.map(|(claim, answer)| Remembered { request: claim.request, answer: answer.clone() }))
        })?;
        Ok(found.transpose())
    }

    async fn remember(
        &self,
        tenant: &Tenant<'_>,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write(tenant, Commit::default(), |tables| {
            tables.claims.insert(claim.key, (claim.clone(), Some((status, body))));
            Ok(())
        })
        .map(drop)
    }

    async fn give_back(&self, tenant: &Tenant<'_>, claim: &IdempotencyClaim) -> Result<(), StoreError> {
        self.write(tenant, Commit::default(), |tables| {
            tables.claims.remove(&claim.key);
            Ok(())
        })
        .map(drop)
    }
}

const LAYERS_ABOVE: Purpose = Purpose::new("layers above");

#[async_trait]
impl TenantKeyring for MemoryStore {
    async fn key(&self, tenant: &Tenant<'_>, purpose: KeyPurpose) -> Result<SecretBytes<32>, StoreError> {
        let state = self.state();
        let known = state.tenants.get(tenant.id())?;
        Ok(kms::derive(&known.key, &LAYERS_ABOVE, purpose.as_str().as_bytes()))
    }
}

#[async_trait]
impl WorkIndex for MemoryStore {
    async fn pending(&self, kind: WorkKind) -> Result<Vec<PendingWork>, StoreError> {
        let state = self.state();
        let mut all = Vec::new();
        for known in state.tenants.0.values() {
            let work = known.tables.work.iter().filter(|((of, _), _)| *of == kind);
            all.extend(work.map(|((_, id), due)| PendingWork { tenant: known.id, id: *id, due: *due }));
        }
        all.sort_by_key(|work| work.id);
        Ok(all)
    }

    async fn tenants_at_rest(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let state = self.state();
        let stored = state.tenants.0.values().filter(|known| {
            let tables = &known.tables;
            !(tables.runs.is_empty() && tables.records.is_empty() && tables.collections.is_empty())
                || tables.objects.keys().any(|(kind, _)| *kind == ObjectKind::Workflow)
        });
        let mut all: Vec<_> = stored.map(|known| known.id).collect();
        all.sort();
        Ok(all.into_iter().filter(|id| after.is_none_or(|after| *id > after)).take(limit as usize).collect())
    }
}
