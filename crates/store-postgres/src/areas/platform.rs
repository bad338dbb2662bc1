//! The platform store.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, Session, params};
use crate::platform::Making;
use async_trait::async_trait;
use audit::event::Draft;
use context::{IndexedSubject, KeyedHash, Operator, Tenant};
use env::Timestamp;
use ids::{KeyId, Slug, TemplateId, TenantId};
use metering::plan::Plan;
use std::collections::HashMap;
use std::sync::Arc;
use store::{
    ApiKeyRecord, Endpoint, Endpoints, Entity as _, Isolation, NewTenant, PlatformStore, StoreError,
    Template, TenantRow,
};
use store_core::keys::{LogAge, WrappedKeys};

impl PostgresStore {
    /// Everything about a new tenant: its row, its keys, its first credential, its log. In the shared tables it is
    /// one transaction.
    /// Refuses a tenant that is to be kept as or where this deployment keeps none.
    pub(crate) fn check_place(&self, row: &TenantRow) -> Result<(), Fault> {
        if !self.isolations().contains(&row.isolation) {
            return Err(StoreError::IsolationUnavailable.into());
        }
        if self.inner().regions.contains(&row.region) {
            return Ok(());
        }
        let detail = format!("This server keeps no data in the region `{}`.", row.region);
        Err(StoreError::Invalid(detail).into())
    }

    async fn make(&self, tenant: NewTenant) -> Result<(), Fault> {
        let NewTenant { row, key_hash, key, key_record, events } = tenant;
        self.check_place(&row)?;
        let inner = self.inner();
        let (id, isolation) = (row.id, row.isolation);
        let keys = WrappedKeys::make(inner.kms.as_ref(), id, &self.env()).await?;
        let making = Making { row, keys, credentials: vec![(key_hash, key, None)], log: LogAge::FIRST };
        if isolation == Isolation::Pooled {
            let home = inner.homes.shared().clone();
            let (session, _) = home.begin(id, "BEGIN").await?;
            session.batch_execute("SELECT pg_advisory_xact_lock(1952542576)").await?;
            inner.platform.make_tenant(&session, &making).await?;
            return self.fill(&making, home, session, key_record, events).await;
        }
        inner.platform.check_new_tenant(&making.row).await?;
        inner.platform.make_home(id, isolation).await?;
        let made = self.make_apart(&making, key_record, events).await;
        if made.is_err() && inner.platform.tenant_row(id).await?.is_none() {
            inner.platform.unmake_home(id, isolation).await?;
            inner.homes.forget(id);
        }
        made
    }

    /// A tenant in a home of its own: first what is in the home, then what the platform knows, with which the
    /// tenant is there.
    async fn make_apart(
        &self,
        making: &Making,
        key_record: ApiKeyRecord,
        events: Vec<Draft>,
    ) -> Result<(), Fault> {
        let id = making.row.id;
        let home = self.home(id, making.row.isolation).await?;
        let (session, _) = home.begin(id, "BEGIN").await?;
        self.fill(making, home, session, key_record, events).await?;
        let platform = &self.inner().platform;
        let session = platform.change().await?;
        platform.make_tenant(&session, making).await?;
        session.commit().await
    }

    /// Begins the tenant's log, keeps its first key, and ends the transaction.
    async fn fill(
        &self,
        making: &Making,
        home: Arc<Home>,
        session: Session,
        key_record: ApiKeyRecord,
        events: Vec<Draft>,
    ) -> Result<(), Fault> {
        let handle = self.unborn(making.row.id, &home, &making.row.region, &making.keys, making.log).await?;
        crate::store_impl::begin_log(&session, &handle).await?;
        let (kind, key) = (ApiKeyRecord::KIND.as_str(), key_record.key());
        let body = handle.seal("object", &[kind, &key], &key_record)?;
        session
            .execute_typed(
                "INSERT INTO object(kind, id, owner, version, body) VALUES($1, $2, $3, 1, $4)",
                params![kind => TEXT, key => TEXT, key_record.owner() => TEXT, body => BYTEA],
            )
            .await?;
        handle.first_events(session, &events).await
    }
}

#[async_trait]
impl PlatformStore for PostgresStore {
    fn isolations(&self) -> &'static [Isolation] {
        &[Isolation::Pooled, Isolation::Schema, Isolation::Dedicated]
    }

    async fn create_tenant(&self, _: &Operator, tenant: NewTenant) -> Result<(), StoreError> {
        Ok(self.make(tenant).await?)
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
        self.inner().platform.change_tenant(&row).await?;
        Ok(row)
    }

    async fn plan(&self, name: &Slug) -> Result<Plan, StoreError> {
        self.inner().platform.plan(name).await?.ok_or(StoreError::NotFound)
    }

    async fn put_plan(&self, _: &Operator, plan: Plan) -> Result<(), StoreError> {
        Ok(self.inner().platform.put_plan(&plan).await?)
    }

    async fn publish_template(
        &self,
        _: &Operator,
        id: TemplateId,
        name: &Slug,
        definition: String,
        now: Timestamp,
    ) -> Result<Template, StoreError> {
        Ok(self.inner().platform.publish(id, name, definition, now).await?)
    }

    async fn withdraw_template(&self, _: &Operator, name: &Slug) -> Result<(), StoreError> {
        Ok(self.inner().platform.withdraw(name).await?)
    }

    async fn template(&self, name: &Slug, version: Option<u32>) -> Result<Template, StoreError> {
        Ok(self.inner().platform.template(name, version).await?)
    }

    async fn templates(&self, after: Option<&Slug>, limit: u32) -> Result<Vec<Template>, StoreError> {
        Ok(self.inner().platform.templates(after, limit).await?)
    }

    async fn endpoints(&self) -> Result<Endpoints, StoreError> {
        Ok(self.inner().platform.known_endpoints().await?)
    }

    async fn put_endpoint(&self, _: &Operator, endpoint: Endpoint) -> Result<(), StoreError> {
        Ok(self.inner().platform.put_endpoint(&endpoint).await?)
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
        Ok(self.inner().platform.remove_credential(tenant.id(), subject_id).await?)
    }

    async fn last_uses(&self, tenant: &Tenant<'_>) -> Result<HashMap<KeyId, Timestamp>, StoreError> {
        Ok(self.inner().platform.last_uses(tenant.id()).await?)
    }

    async fn own_worker_seen(&self, tenant: &Tenant<'_>) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.inner().platform.own_worker_seen(tenant.id()).await?)
    }

    async fn pool_seen(&self, pool: &Slug) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.inner().platform.pool_seen(pool).await?)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.inner().platform.has_operators().await?;
        Ok(())
    }
}
