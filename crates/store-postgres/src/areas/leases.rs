//! Leases on runs, in the rows that say which runs are under way: of the shared tables' tenants in the platform's
//! table, of the others in their own homes.

mod claiming;
mod elsewhere;
mod pause;

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{Home, Param, params};
use crate::platform::{bytes_of, id_of};
use crate::store_impl::{Carries, Inner};
use crate::tenant::TenantHandle;
use async_trait::async_trait;
use context::{Lease, Operator, Tenant};
use env::Timestamp;
use futures::{StreamExt as _, join, stream};
use ids::{Id as _, RunId, Slug, TenantId, WorkerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Claim, Isolation, Leases, PendingWork, StoreError, Wanted};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

/// How many tenants' own homes are asked at once, and how long one may take to answer.
const AT_ONCE: usize = 8;
const ONE_HOME: Duration = Duration::from_millis(700);

/// What of a table's runs are due and nobody's: the oldest of each tenant of the pool. A tenant is looked for after the one before
/// it, so that no tenant's many runs are read for it.
const UNHELD: &str = "WITH RECURSIVE tenants AS (
        (SELECT tenant_id FROM tenantry.work WHERE kind = 'run' ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT tenant_id FROM tenantry.work WHERE kind = 'run' AND tenant_id > tenants.tenant_id
            ORDER BY tenant_id LIMIT 1)
        FROM tenants WHERE tenants.tenant_id IS NOT NULL)
    SELECT run.tenant_id, run.id, run.due FROM tenants CROSS JOIN LATERAL (
        SELECT tenant_id, id, due FROM tenantry.work
        WHERE kind = 'run' AND tenant_id = tenants.tenant_id AND coalesce(due, 0) <= $1
            AND coalesce((SELECT plan.pool FROM tenantry.tenant JOIN tenantry.plan ON plan.name = tenant.plan
                WHERE tenant.id = tenants.tenant_id), '') = $4
            AND (held_until IS NULL OR held_until <= clock_timestamp())
        ORDER BY coalesce(due, 0), id LIMIT $2) AS run
    ORDER BY coalesce(run.due, 0), run.id LIMIT $3";

/// How soon leases that are written under are looked at again.
const SOON: Duration = Duration::from_millis(10);

const TAKE: &str = "UPDATE WORK AS work SET holder = $3, fence = fence + 1, revoked = false,
        held_until = clock_timestamp() + $4 * interval '1 millisecond'
    WHERE tenant_id = $1 AND kind = 'run' AND id = $2 RETURNING fence";

const RENEW: &str = "UPDATE WORK AS work SET held_until = clock_timestamp() + $5 * interval '1 millisecond'
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[]) AS it(tenant_id, id, holder, fence)
    WHERE work.tenant_id = it.tenant_id AND work.kind = 'run' AND work.id = it.id
        AND work.holder = it.holder AND work.fence = it.fence
    RETURNING work.tenant_id, work.id, work.holder, work.fence";

/// The same for those that nothing is being written under. To wait for each write in turn would hold up all the others.
const RENEW_IDLE: &str = "WITH idle AS (
        SELECT work.tenant_id, work.id FROM WORK AS work
        JOIN unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[]) AS it(tenant_id, id, holder, fence)
            USING (tenant_id, id)
        WHERE work.kind = 'run' AND work.holder = it.holder AND work.fence = it.fence
        FOR NO KEY UPDATE OF work SKIP LOCKED
    )
    UPDATE WORK AS work SET held_until = clock_timestamp() + $5 * interval '1 millisecond' FROM idle
    WHERE work.tenant_id = idle.tenant_id AND work.kind = 'run' AND work.id = idle.id
    RETURNING work.tenant_id, work.id, work.holder, work.fence";

const RELEASE: &str = "UPDATE WORK AS work SET holder = NULL, held_until = NULL, revoked = false
    FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[]) AS it(tenant_id, id, holder, fence)
    WHERE work.tenant_id = it.tenant_id AND work.kind = 'run' AND work.id = it.id
        AND work.holder = it.holder AND (work.fence = it.fence OR work.revoked)
    RETURNING work.tenant_id, work.id, it.holder, it.fence";

const REVOKE: &str = "UPDATE WORK AS work SET fence = fence + 1, revoked = true
    WHERE tenant_id = $1 AND kind = 'run' AND held_until > clock_timestamp() AND NOT revoked";

const HELD: &str = "SELECT count(*) FROM WORK AS work
    WHERE tenant_id = $1 AND kind = 'run' AND held_until > clock_timestamp()";

/// Whoever gives runs of these tenants away holds their rows meanwhile, in the same order as everybody, so that all runs
/// that are held are counted and no two choose by the same virtual time.
fn turn(own: Option<TenantId>) -> &'static str {
    match own {
        Some(_) => "SELECT 1 FROM log_head WHERE tenant_id = ANY($1) FOR UPDATE",
        None => "SELECT 1 FROM tenantry.tenant WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    }
}

/// A statement about the runs of a home.
fn of(home: &Home, statement: &str) -> String {
    statement.replace("WORK", home.work())
}

/// Leases as columns: tenants, runs, workers, fences.
#[derive(Default)]
struct Columns([Vec<Vec<u8>>; 3], Vec<i64>);

impl Columns {
    fn of(leases: &[(TenantId, Lease)]) -> Self {
        let mut columns = Self::default();
        for (tenant, lease) in leases {
            let bytes = [tenant.to_bytes(), lease.run.to_bytes(), lease.worker.to_bytes()];
            columns.0.iter_mut().zip(bytes).for_each(|(column, bytes)| column.push(bytes.to_vec()));
            columns.1.push(lease.fence.cast_signed());
        }
        columns
    }
}

/// The lease that a row says there is, from this column on.
pub(crate) fn lease(row: &Row, place: usize) -> Result<Lease, Fault> {
    let (run, worker) = (bytes_of(row, place)?, bytes_of(row, place + 1)?);
    let fence = row.try_get::<_, i64>(place + 2)?.cast_unsigned();
    Ok(Lease { run: RunId::from_bytes(run), worker: WorkerId::from_bytes(worker), fence })
}

/// What one home says in time. Those that do not answer keep no other tenant's runs waiting.
async fn in_time<T>(asking: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(ONE_HOME, asking).await.unwrap_or(Err(Fault::Lost))
}

fn millis(term: Duration) -> f64 {
    term.as_secs_f64() * 1000.0
}

impl Inner {
    /// Whether runs of tenants in this home are carried out here.
    pub(crate) fn carries_those_of(&self, home: &Home) -> bool {
        let has_own_worker = home.isolation() == Some(Isolation::Dedicated);
        self.own().is_some() || !has_own_worker || self.carries == Carries::Everybodys
    }

    /// The name of the pool as statements compare it: none is the empty one.
    fn pool_name(&self) -> &str {
        self.pool.as_ref().map_or("", Slug::as_str)
    }
}

/// Which of what was wanted is where: in the shared tables, and in the homes of tenants that have their own.
struct Places<T> {
    homes: Vec<(Option<TenantId>, Arc<Home>, Vec<T>)>,
}

impl PostgresStore {
    /// Sorts by home. A tenant whose home cannot be told is left out: it keeps nobody else waiting.
    async fn by_home<T: Copy>(&self, all: &[T], tenant: impl Fn(&T) -> TenantId) -> Places<T> {
        let mut tenants: BTreeMap<TenantId, Vec<T>> = BTreeMap::new();
        for each in all {
            tenants.entry(tenant(each)).or_default().push(*each);
        }
        let found = stream::iter(tenants).map(async |(id, its)| (id, its, in_time(self.handle(id)).await));
        let mut found = found.buffer_unordered(AT_ONCE);
        let (mut shared, mut homes) = (Vec::new(), Vec::new());
        while let Some((id, mut its, handle)) = found.next().await {
            match handle.map(|handle| handle.home()) {
                Ok(home) if home.isolation().is_none() => shared.append(&mut its),
                Ok(home) => homes.push((Some(id), home, its)),
                Err(fault) => {
                    tracing::warn!(tenant.id = %id, %fault, "a tenant's home cannot be asked for its runs");
                }
            }
        }
        if !shared.is_empty() {
            homes.push((None, self.inner().homes.shared().clone(), shared));
        }
        Places { homes }
    }
}

impl Home {
    /// A transaction of one statement about runs: of all tenants of the shared tables, or of the one whose home it is.
    async fn about_runs(
        &self,
        own: Option<TenantId>,
        turn: Option<(&str, &[Param<'_>])>,
        (statement, values): (&str, &[Param<'_>]),
    ) -> Result<Vec<Row>, Fault> {
        // A lease that the database forgets when it falls over is claimed anew, by a worker and a fence that are
        // compared together; so nobody waits for the disk.
        const NOT_AWAITED: &str = "SET LOCAL synchronous_commit = off";
        let statement = of(self, statement);
        let session = match own {
            Some(tenant) => self.begin(tenant, "BEGIN").await?.0,
            None => {
                let mut session = self.session().await?;
                session.begin().await?;
                session
            }
        };
        let waiting = async {
            match turn {
                Some((turn, values)) => session.query_typed(turn, values).await.map(drop),
                None => Ok(()),
            }
        };
        let (eager, waited, rows, ended) = join!(
            session.batch_execute(NOT_AWAITED),
            waiting,
            session.query_typed(&statement, values),
            session.batch_execute("COMMIT"),
        );
        eager?;
        waited?;
        let rows = rows?;
        ended?;
        session.ended();
        Ok(rows)
    }
}

#[async_trait]
impl Leases for PostgresStore {
    fn shared(&self) -> bool {
        true
    }

    async fn unheld(&self, of_one: u32, limit: u32) -> Result<Vec<PendingWork>, StoreError> {
        let now = self.env().now();
        if let Some(own) = self.inner().own() {
            let mut all = self.unheld_in_own(own, now, of_one).await?;
            all.truncate(limit as usize);
            return Ok(all);
        }
        let pool = self.inner().pool_name();
        if let Some(pool) = &self.inner().pool {
            self.inner().platform.attend(pool).await?;
        }
        let values =
            params![now.millis() => INT8, i64::from(of_one) => INT8, i64::from(limit) => INT8, pool => TEXT];
        let rows = self.inner().platform.query(UNHELD, values).await?;
        let mut all = rows.iter().map(super::work::work).collect::<Result<Vec<_>, Fault>>()?;
        let elsewhere = "SELECT tenant FROM tenantry.work_elsewhere WHERE coalesce((SELECT plan.pool
            FROM tenantry.tenant JOIN tenantry.plan ON plan.name = tenant.plan WHERE tenant.id = work_elsewhere.tenant), '') = $1";
        let tenants = self.inner().platform.query(elsewhere, params![pool => TEXT]).await?;
        let tenants = tenants.iter().map(|row| id_of(row, 0)).collect::<Result<Vec<_>, Fault>>()?;
        let asked =
            stream::iter(tenants).map(async |tenant| (tenant, self.unheld_in_own(tenant, now, of_one).await));
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some((tenant, found)) = asked.next().await {
            match found {
                Ok(found) => all.extend(found),
                // One tenant whose home does not answer keeps nobody else's work waiting.
                Err(fault) => {
                    tracing::warn!(tenant.id = %tenant, %fault, "a tenant's own home was not asked for its runs");
                }
            }
        }
        all.sort_unstable_by_key(|work| (work.due, work.id));
        all.truncate(limit as usize);
        Ok(all)
    }

    async fn claim(
        &self,
        worker: WorkerId,
        wanted: &[Wanted],
        places: usize,
        term: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        self.give((worker, term), (wanted, places)).await
    }

    async fn take(
        &self,
        tenant: &Tenant<'_>,
        worker: WorkerId,
        run: RunId,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let (id, run_bytes, holder) = (tenant.id().to_bytes(), run.to_bytes(), worker.to_bytes());
        let values = params![id.as_slice() => BYTEA, run_bytes.as_slice() => BYTEA, holder.as_slice() => BYTEA,
            millis(term) => FLOAT8];
        let rows = self.about_one(tenant.id(), None, (TAKE, values), |rows| !rows.is_empty()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let fence = row.try_get::<_, i64>(0).map_err(Fault::from)?.cast_unsigned();
        Ok(Some(Lease { run, worker, fence }))
    }

    async fn renew(&self, held: &[(TenantId, Lease)], term: Duration) -> Result<Vec<Lease>, StoreError> {
        let statements = [RENEW_IDLE, RENEW_IDLE, RENEW_IDLE, RENEW_IDLE, RENEW];
        let kept = self.about_held(held, &statements, &[(&millis(term), Type::FLOAT8)]).await?;
        Ok(held.iter().filter(|held| !kept.contains(held)).map(|(_, lease)| *lease).collect())
    }

    async fn release(&self, held: &[(TenantId, Lease)]) -> Result<(), StoreError> {
        self.about_held(held, &[RELEASE], &[]).await?;
        Ok(())
    }

    async fn revoke(&self, _: &Operator, tenant: TenantId) -> Result<(), StoreError> {
        self.about_all(tenant, REVOKE).await?;
        Ok(())
    }

    async fn pause(
        &self,
        _: &Operator,
        tenant: TenantId,
        by: WorkerId,
        term: Duration,
    ) -> Result<(), StoreError> {
        Ok(self.give_nothing(tenant, by, term).await?)
    }

    async fn resume(&self, _: &Operator, tenant: TenantId, by: WorkerId) -> Result<(), StoreError> {
        Ok(self.give_again(tenant, by).await?)
    }

    async fn held(&self, _: &Operator, tenant: TenantId) -> Result<u64, StoreError> {
        let rows = self.about_all(tenant, HELD).await?;
        let row = rows.first().ok_or(Fault::Damaged("a count of runs"))?;
        Ok(row.try_get::<_, i64>(0).map_err(Fault::from)?.cast_unsigned())
    }
}

impl PostgresStore {
    async fn unheld_in_own(
        &self,
        tenant: TenantId,
        now: Timestamp,
        of_one: u32,
    ) -> Result<Vec<PendingWork>, Fault> {
        // Whose worker is another is not even asked. Where the home is another by now, the claim says so.
        let here = |handle: Arc<TenantHandle>| self.inner().carries_those_of(&handle.home());
        if !self.in_use(tenant).is_none_or(here) {
            return Ok(Vec::new());
        }
        let select = "SELECT tenant_id, id, due FROM work
            WHERE kind = 'run' AND coalesce(due, 0) <= $1 AND (held_until IS NULL OR held_until <= clock_timestamp())
            ORDER BY coalesce(due, 0), id LIMIT $2";
        let values = params![now.millis() => INT8, i64::from(of_one) => INT8];
        self.read_in_own(tenant, select, values).await
    }
}
