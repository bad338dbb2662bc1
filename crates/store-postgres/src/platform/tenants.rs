//! Tenants: their rows, how they are made and how they end.

use super::{Platform, id_of};
use crate::error::Fault;
use crate::home::{Session, params};
use context::{TenantStanding, TenantStatus, Throwaway};
use env::Timestamp;
use ids::{Id as _, Slug, TenantId};
use metering::plan::{Plan, Terms};
use std::sync::Arc;
use store::{Isolation, StoreError, TenantRow};
use store_core::keys::{LogAge, WrappedKeys};
use store_core::portable::IndexLines;
use tokio_postgres::Row;

const SELECT: &str =
    "SELECT id, name, external_id, region, plan, overrides, isolation, status, created_at, generation,
    version, throwaway_grant, throwaway_until, throwaway_slot FROM tenantry.tenant";

fn tenant_row(row: &Row) -> Result<TenantRow, Fault> {
    let damaged = || Fault::Damaged("a tenant's row");
    let throwaway: (Option<String>, Option<i64>, Option<i64>) =
        (row.try_get(11)?, row.try_get(12)?, row.try_get(13)?);
    Ok(TenantRow {
        id: id_of(row, 0)?,
        name: row.try_get(1)?,
        external_id: row.try_get(2)?,
        region: row.try_get::<_, &str>(3)?.parse().map_err(|_| damaged())?,
        plan: row.try_get::<_, &str>(4)?.parse().map_err(|_| damaged())?,
        overrides: serde_json::from_str(row.try_get(5)?).map_err(|_| damaged())?,
        isolation: Isolation::parse(row.try_get(6)?).ok_or_else(damaged)?,
        status: TenantStatus::parse(row.try_get(7)?).ok_or_else(damaged)?,
        created_at: Timestamp::from_millis(row.try_get(8)?),
        generation: row.try_get::<_, i64>(9)?.cast_unsigned(),
        version: row.try_get::<_, i64>(10)?.cast_unsigned(),
        throwaway: match throwaway {
            (None, None, None) => None,
            (Some(grant), Some(until), Some(slot)) => Some(Throwaway {
                grant: grant.parse().map_err(|_| damaged())?,
                until: Timestamp::from_millis(until),
                slot: slot.try_into().map_err(|_| damaged())?,
            }),
            _ => return Err(damaged()),
        },
    })
}

/// A tenant's row, inside a transaction.
pub(super) async fn find(session: &Session, id: TenantId) -> Result<Option<TenantRow>, Fault> {
    let select = format!("{SELECT} WHERE id = $1");
    let row = session.query_typed_opt(&select, params![id.to_bytes().as_slice() => BYTEA]).await?;
    row.as_ref().map(tenant_row).transpose()
}

/// A plan, as an operator has set it or as it is built in. It takes the transaction's own connection: whoever holds
/// one and waits for another may wait for those who wait for it.
async fn plan(session: &Session, name: &Slug) -> Result<Option<Plan>, Fault> {
    let select = "SELECT limits, pool FROM tenantry.plan WHERE name = $1";
    if let Some(row) = session.query_typed_opt(select, params![name.as_str() => TEXT]).await? {
        let terms: Terms = serde_json::from_str(row.try_get(0)?).map_err(|_| Fault::Damaged("a plan"))?;
        let pool = row.try_get::<_, Option<&str>>(1)?.map(str::parse).transpose();
        let pool = pool.map_err(|_| Fault::Damaged("a plan"))?;
        return Ok(Some(Plan { pool, ..terms.of(name.clone()) }));
    }
    let built_in = Plan::built_in().map_err(|_| Fault::Damaged("a built-in plan"))?;
    Ok(built_in.into_iter().find(|plan| plan.name == *name))
}

/// A tenant that is to be made.
pub(crate) struct Making {
    pub(crate) row: TenantRow,
    pub(crate) keys: WrappedKeys,
    pub(crate) credentials: IndexLines,
    /// Which of its logs it writes, and as whose.
    pub(crate) log: LogAge,
}

async fn any(session: &Session, select: &str, values: &[crate::home::Param<'_>]) -> Result<bool, Fault> {
    Ok(!session.query_typed(select, values).await?.is_empty())
}

/// Refuses a tenant whose id or names are taken, or whose plan there is not.
async fn check_new(session: &Session, row: &TenantRow) -> Result<(), Fault> {
    let id = row.id.to_bytes();
    let exists = |what: &str| Err(StoreError::Exists(what.to_owned()).into());
    let deleted = "SELECT 1 FROM tenantry.deleted_tenant WHERE id = $1";
    if any(session, deleted, params![id.as_slice() => BYTEA]).await? {
        return exists("a deleted tenant with this id");
    }
    if find(session, row.id).await?.is_some() {
        return exists("a tenant with this id");
    }
    let external = "SELECT 1 FROM tenantry.tenant WHERE external_id = $1";
    if any(session, external, params![row.external_id => TEXT]).await? {
        return exists("a tenant with this external id");
    }
    if let Some(throwaway) = row.throwaway {
        let (grant, slot) = (throwaway.grant.to_string(), i64::from(throwaway.slot));
        let taken = "SELECT 1 FROM tenantry.tenant WHERE throwaway_grant = $1 AND throwaway_slot = $2";
        if any(session, taken, params![grant => TEXT, slot => INT8]).await? {
            return exists("a throwaway tenant in this place of the grant");
        }
    }
    check_plan(session, row).await
}

async fn check_plan(session: &Session, row: &TenantRow) -> Result<(), Fault> {
    match plan(session, &row.plan).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Invalid(format!("There is no plan `{}`.", row.plan)).into()),
    }
}

const INSERT: &str =
    "INSERT INTO tenantry.tenant(id, name, external_id, region, plan, overrides, isolation, status,
    created_at, generation, version, throwaway_grant, throwaway_until, throwaway_slot)
    VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
const UPDATE: &str =
    "UPDATE tenantry.tenant SET name = $2, external_id = $3, region = $4, plan = $5, overrides = $6,
    isolation = $7, status = $8, created_at = $9, generation = greatest(generation, $10), version = $11
    WHERE id = $1 AND version = $11 - 1 AND throwaway_grant IS NOT DISTINCT FROM $12
    AND throwaway_until IS NOT DISTINCT FROM $13 AND throwaway_slot IS NOT DISTINCT FROM $14";

async fn write_row(session: &Session, row: &TenantRow, statement: &str) -> Result<u64, Fault> {
    let overrides =
        serde_json::to_string(&row.overrides).map_err(|_| Fault::Damaged("a tenant's overrides"))?;
    let throwaway = row.throwaway;
    let written = session
        .execute_typed(
            statement,
            params![row.id.to_bytes().as_slice() => BYTEA, row.name => TEXT, row.external_id => TEXT,
                row.region.as_str() => TEXT, row.plan.as_str() => TEXT, overrides => TEXT, row.isolation.as_str() => TEXT,
                row.status.as_str() => TEXT, row.created_at.millis() => INT8,
                row.generation.cast_signed() => INT8, row.version.cast_signed() => INT8,
                throwaway.map(|it| it.grant.to_string()) => TEXT, throwaway.map(|it| it.until.millis()) => INT8,
                throwaway.map(|it| i64::from(it.slot)) => INT8],
        )
        .await;
    match written {
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION) => {
            Err(StoreError::Exists("a tenant with this external id".into()).into())
        }
        written => Ok(written?),
    }
}

impl Platform {
    /// Makes a tenant's row, keys and first credential, in a transaction that goes on.
    pub(crate) async fn make_tenant(&self, session: &Session, making: &Making) -> Result<(), Fault> {
        check_new(session, &making.row).await?;
        write_row(session, &making.row, INSERT).await?;
        self.add_keys(session, making.row.id, &making.keys).await?;
        for (hash, subject, expires_at) in &making.credentials {
            super::index::insert(session, hash, Some(making.row.id), subject, *expires_at).await?;
        }
        let note = "UPDATE tenantry.tenant SET log_epoch = $2, log_generation = $3 WHERE id = $1";
        let (id, log) = (making.row.id.to_bytes(), making.log);
        let values = params![id.as_slice() => BYTEA, log.epoch.cast_signed() => INT8,
            log.generation.cast_signed() => INT8];
        session.execute_typed(note, values).await?;
        Ok(())
    }

    /// Which of its logs a tenant writes, and as whose.
    pub(crate) async fn log_age(&self, id: TenantId) -> Result<LogAge, Fault> {
        let session = self.home.session().await?;
        self.log_age_in(&session, id).await
    }

    /// The same, in a transaction that goes on.
    pub(crate) async fn log_age_in(&self, session: &Session, id: TenantId) -> Result<LogAge, Fault> {
        let select = "SELECT log_epoch, log_generation FROM tenantry.tenant WHERE id = $1";
        let row = session.query_typed_opt(select, params![id.to_bytes().as_slice() => BYTEA]).await?;
        let Some(row) = row else { return Ok(LogAge::FIRST) };
        let number = |place| Ok::<_, Fault>(row.try_get::<_, i64>(place)?.cast_unsigned());
        Ok(LogAge { epoch: number(0)?, generation: number(1)? })
    }

    /// Notes that a tenant has stored something that is looked after.
    pub(crate) async fn rests(&self, session: &Session, id: TenantId) -> Result<(), Fault> {
        let note = "INSERT INTO tenantry.at_rest(tenant) VALUES($1) ON CONFLICT DO NOTHING";
        session.execute_typed(note, params![id.to_bytes().as_slice() => BYTEA]).await?;
        Ok(())
    }

    /// Refuses a tenant that cannot be made, before anything is made for it.
    pub(crate) async fn check_new_tenant(&self, row: &TenantRow) -> Result<(), Fault> {
        let session = self.home.session().await?;
        check_new(&session, row).await
    }

    pub(crate) async fn tenant_row(&self, id: TenantId) -> Result<Option<TenantRow>, Fault> {
        let session = self.home.session().await?;
        find(&session, id).await
    }

    /// How a tenant is kept, and whether it is on its way to be kept otherwise.
    pub(crate) async fn whereabouts(&self, id: TenantId) -> Result<Option<(Isolation, bool)>, Fault> {
        let select = "SELECT isolation, EXISTS(SELECT 1 FROM tenantry.move
                WHERE move.tenant = tenant.id AND phase IN ('switching', 'removing'))
            FROM tenantry.tenant WHERE id = $1";
        let rows = self.query(select, params![id.to_bytes().as_slice() => BYTEA]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let isolation = Isolation::parse(row.try_get(0)?).ok_or(Fault::Damaged("a tenant's row"))?;
        Ok(Some((isolation, row.try_get(1)?)))
    }

    /// How each of these tenants is kept that there are.
    pub(crate) async fn isolations_of(&self, ids: &[TenantId]) -> Result<Vec<(TenantId, Isolation)>, Fault> {
        let bytes: Vec<_> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
        let select = "SELECT id, isolation FROM tenantry.tenant WHERE id = ANY($1)";
        let rows = self.query(select, params![bytes => BYTEA_ARRAY]).await?;
        let each = |row: &Row| {
            let isolation = Isolation::parse(row.try_get(1)?).ok_or(Fault::Damaged("a tenant's row"))?;
            Ok((id_of(row, 0)?, isolation))
        };
        rows.iter().map(each).collect()
    }

    /// A tenant's region, in a transaction that goes on.
    pub(crate) async fn region_in(&self, session: &Session, id: TenantId) -> Result<Slug, Fault> {
        Ok(find(session, id).await?.ok_or(Fault::KeyGone)?.region)
    }

    pub(crate) async fn standing(&self, id: TenantId) -> Result<Option<TenantStanding>, Fault> {
        let session = self.home.session().await?;
        let Some(row) = find(&session, id).await? else { return Ok(None) };
        let plan = plan(&session, &row.plan).await?.ok_or(Fault::Damaged("a tenant's plan"))?;
        Ok(Some(TenantStanding {
            id,
            status: row.status,
            limits: Arc::new(plan.with(&row.overrides)),
            plan: row.plan,
            region: row.region,
            throwaway_until: row.throwaway.map(|it| it.until),
            own_worker: row.isolation == Isolation::Dedicated,
            pool: plan.pool,
        }))
    }

    pub(crate) async fn plan(&self, name: &Slug) -> Result<Option<Plan>, Fault> {
        let session = self.home.session().await?;
        plan(&session, name).await
    }

    pub(crate) async fn tenant_rows(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRow>, Fault> {
        let after = after.map_or(Vec::new(), |id| id.to_bytes().to_vec());
        let select = format!("{SELECT} WHERE id > $1 ORDER BY id LIMIT $2");
        let rows = self.query(&select, params![after => BYTEA, i64::from(limit) => INT8]).await?;
        rows.iter().map(tenant_row).collect()
    }

    pub(crate) async fn change_tenant(&self, row: &TenantRow) -> Result<(), Fault> {
        let session = self.change().await?;
        let found = find(&session, row.id).await?.ok_or(Fault::Answer(StoreError::NotFound))?;
        // A tenant that was moved meanwhile is another version.
        if found.version + 1 != row.version {
            return Err(StoreError::Stale.into());
        }
        let refused = if found.region != row.region {
            Some("A tenant's region does not change: its data would stay behind.")
        } else if found.isolation != row.isolation {
            Some("A tenant's isolation does not change.")
        } else if found.throwaway != row.throwaway {
            Some("Which grant made a tenant does not change.")
        } else {
            None
        };
        if let Some(detail) = refused {
            return Err(StoreError::Invalid(detail.into()).into());
        }
        check_plan(&session, row).await?;
        match write_row(&session, row, UPDATE).await? {
            0 => return Err(StoreError::Stale.into()),
            _ => session.commit().await?,
        }
        self.known.forget();
        Ok(())
    }

    /// Notes how often the tenant was restored, which its own tables say. Here it is for operators to see.
    pub(crate) async fn note_generation(&self, id: TenantId, generation: u64) -> Result<(), Fault> {
        let note = "UPDATE tenantry.tenant SET generation = greatest(generation, $2) WHERE id = $1";
        let id = id.to_bytes();
        self.execute(note, params![id.as_slice() => BYTEA, generation.cast_signed() => INT8]).await?;
        Ok(())
    }

    /// Takes a tenant's keys and all that names it, in a transaction that goes on.
    pub(crate) async fn destroy(&self, session: &Session, id: TenantId, at: Timestamp) -> Result<u64, Fault> {
        let left = find(session, id).await?.is_some_and(|row| row.status == TenantStatus::Leaving);
        let bytes = id.to_bytes();
        let bytes = bytes.as_slice();
        for statement in [
            "DELETE FROM tenantry.tenant_key WHERE tenant = $1",
            "DELETE FROM tenantry.work WHERE tenant_id = $1",
            "DELETE FROM tenantry.work_elsewhere WHERE tenant = $1",
            "DELETE FROM tenantry.at_rest WHERE tenant = $1",
        ] {
            session.execute_typed(statement, params![bytes => BYTEA]).await?;
        }
        let lines = "DELETE FROM tenantry.credential WHERE tenant = $1";
        let lines = session.execute_typed(lines, params![bytes => BYTEA]).await?;
        let gone = "DELETE FROM tenantry.tenant WHERE id = $1";
        if session.execute_typed(gone, params![bytes => BYTEA]).await? == 0 {
            return Err(StoreError::NotFound.into());
        }
        if left {
            // It is elsewhere by now, and may come back.
            return Ok(lines);
        }
        let note = "INSERT INTO tenantry.deleted_tenant(id, deleted_at) VALUES($1, $2)";
        session.execute_typed(note, params![bytes => BYTEA, at.millis() => INT8]).await?;
        Ok(lines)
    }
}
