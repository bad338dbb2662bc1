//! Work under way: what the shared tables' transactions noted beside them, and what is in tenants' own homes.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, Param, params};
use crate::platform::{bytes_of, id_of};
use crate::tenant::{TenantHandle, work_name};
use async_trait::async_trait;
use env::Timestamp;
use futures::{StreamExt as _, stream};
use ids::{Id as _, TenantId};
use std::sync::Arc;
use store::{PendingWork, StoreError, WorkIndex, WorkKind};
use tokio_postgres::Row;

/// How many tenants' own homes are asked at once.
const AT_ONCE: usize = 8;
/// Whether there is work in a tenant's own home. A pause that has ended is none.
const ANY: &str = "SELECT 1 FROM work WHERE kind <> 'pause' OR held_until > clock_timestamp() LIMIT 1";

pub(super) fn work(row: &Row) -> Result<PendingWork, Fault> {
    let due: Option<i64> = row.try_get(2)?;
    Ok(PendingWork { tenant: id_of(row, 0)?, id: bytes_of(row, 1)?, due: due.map(Timestamp::from_millis) })
}

impl PostgresStore {
    /// Tenants in whose own homes there may be work.
    pub(super) async fn tenants_elsewhere(&self) -> Result<Vec<TenantId>, Fault> {
        let rows = self.inner().platform.query("SELECT tenant FROM tenantry.work_elsewhere", &[]).await?;
        rows.iter().map(|row| id_of(row, 0)).collect()
    }

    /// A tenant that has a home of its own, where there may be work in it. Where nobody has said for a while that
    /// there is some, and there is none of any kind, it is not asked again until somebody says so.
    pub(super) async fn home_with_work(&self, tenant: TenantId) -> Result<Option<Arc<TenantHandle>>, Fault> {
        let platform = &self.inner().platform;
        let id = tenant.to_bytes();
        let until = "SELECT until::text FROM tenantry.work_elsewhere
            WHERE tenant = $1 AND until < clock_timestamp()";
        let over = platform.query(until, params![id.as_slice() => BYTEA]).await?;
        let Some((isolation, _)) = platform.whereabouts(tenant).await? else { return Ok(None) };
        let handle = self.handle(tenant).await?;
        handle.find_anew(isolation).await?;
        let Some(over) = over.first() else { return Ok(Some(handle)) };
        let read = |home: Arc<Home>| async move {
            match home.isolation() {
                None => Ok(Vec::new()),
                Some(_) => Ok(home.read_one(tenant, (ANY, &[])).await?),
            }
        };
        if !handle.there(read).await?.is_empty() {
            return Ok(Some(handle));
        }
        let forget =
            "DELETE FROM tenantry.work_elsewhere WHERE tenant = $1 AND until = $2::text::timestamptz";
        let until: &str = over.try_get(0)?;
        platform.execute(forget, params![id.as_slice() => BYTEA, until => TEXT]).await?;
        Ok(None)
    }

    /// What is under way in a tenant's own home.
    async fn work_in_own(&self, tenant: TenantId, kind: WorkKind) -> Result<Vec<PendingWork>, Fault> {
        let select = "SELECT tenant_id, id, due FROM work WHERE kind = $1";
        self.read_in_own(tenant, select, params![work_name(kind) => TEXT]).await
    }

    /// What a statement about work reads in the home of a tenant that has its own. The work of one that has it no
    /// more is in the shared table.
    pub(super) async fn read_in_own(
        &self,
        tenant: TenantId,
        select: &str,
        values: &[Param<'_>],
    ) -> Result<Vec<PendingWork>, Fault> {
        if self.inner().own().is_some() {
            let (_, rows) = self.handle(tenant).await?.read(select, values).await?;
            return rows.iter().map(work).collect();
        }
        let Some(handle) = self.home_with_work(tenant).await? else { return Ok(Vec::new()) };
        let read = |home: Arc<Home>| async move {
            match home.isolation() {
                None => Ok(Vec::new()),
                Some(_) => Ok(home.read_one(tenant, (select, values)).await?),
            }
        };
        handle.there(read).await?.iter().map(work).collect()
    }
}

#[async_trait]
impl WorkIndex for PostgresStore {
    async fn pending(&self, kind: WorkKind) -> Result<Vec<PendingWork>, StoreError> {
        if let Some(own) = self.inner().own() {
            return Ok(self.work_in_own(own, kind).await?);
        }
        // Servers ask for this every few seconds, so that it is a time for it.
        self.inner().homes.close_idle();
        let platform = &self.inner().platform;
        let select = "SELECT tenant_id, id, due FROM tenantry.work WHERE kind = $1";
        let rows = platform.query(select, params![work_name(kind) => TEXT]).await?;
        let mut all = rows.iter().map(work).collect::<Result<Vec<_>, Fault>>()?;
        let tenants = self.tenants_elsewhere().await?;
        let asked = stream::iter(tenants).map(async |tenant| (tenant, self.work_in_own(tenant, kind).await));
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some((tenant, found)) = asked.next().await {
            match found {
                Ok(found) => all.extend(found),
                // One tenant whose home does not answer keeps nobody else's work waiting.
                Err(fault) => {
                    tracing::error!(tenant.id = %tenant, %fault, "a tenant's own home was not asked for its work");
                }
            }
        }
        all.sort_unstable_by_key(|work| work.id);
        Ok(all)
    }

    async fn tenants_at_rest(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        if self.inner().own().is_some() {
            // What has grown old is the servers' to look after.
            return Ok(Vec::new());
        }
        let after = after.map_or(Vec::new(), |id| id.to_bytes().to_vec());
        let select = "SELECT tenant FROM tenantry.at_rest WHERE tenant > $1 ORDER BY tenant LIMIT $2";
        let values = params![after => BYTEA, i64::from(limit) => INT8];
        let rows = self.inner().platform.query(select, values).await?;
        Ok(rows.iter().map(|row| id_of(row, 0)).collect::<Result<_, Fault>>()?)
    }
}
