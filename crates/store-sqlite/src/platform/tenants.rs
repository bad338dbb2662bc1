//! Tenants in the platform store: rows, wrapped keys, and the end of both.

use super::tenant_keys::put_keys;
use super::{Cache, Platform, index};
use crate::error::Fault;
use crate::keys::WrappedKeys;
use context::{TenantStanding, TenantStatus, Throwaway};
use env::Timestamp;
use ids::{Id, Slug, TenantId};
use metering::plan::{Overrides, Plan, Terms};
use sqlcipher::{ErrorCode, Executor, OptionalExtension, Row, params};
use std::sync::Arc;
use store::{Isolation, StoreError, TenantRow};
use store_core::portable::IndexLines;

const COLUMNS: &str =
    "id, name, external_id, region, plan, overrides, isolation, status, created_at, generation, version,
    throwaway_grant, throwaway_until, throwaway_slot";

fn tenant_row(row: &Row<'_>) -> Result<Result<TenantRow, Fault>, sqlcipher::Error> {
    let (region, plan): (String, String) = (row.get(3)?, row.get(4)?);
    let (overrides, status): (String, String) = (row.get(5)?, row.get(7)?);
    let (id, name, external_id) = (TenantId::from_bytes(row.get(0)?), row.get(1)?, row.get(2)?);
    let created_at = Timestamp::from_millis(row.get(8)?);
    let (generation, version) = (row.get(9)?, row.get(10)?);
    let grant: Option<String> = row.get(11)?;
    let (until, slot): (Option<i64>, Option<u32>) = (row.get(12)?, row.get(13)?);
    Ok((|| {
        let damaged = || Fault::Damaged("a tenant's row");
        Ok(TenantRow {
            id,
            name,
            external_id,
            region: region.parse().map_err(|_| damaged())?,
            plan: plan.parse().map_err(|_| damaged())?,
            overrides: serde_json::from_str(&overrides).map_err(|_| damaged())?,
            // There is no other kind here, whatever an earlier version called it.
            isolation: Isolation::Embedded,
            status: TenantStatus::parse(&status).ok_or_else(damaged)?,
            created_at,
            generation,
            version,
            throwaway: match (grant, until, slot) {
                (None, None, None) => None,
                (Some(grant), Some(until), Some(slot)) => Some(Throwaway {
                    grant: grant.parse().map_err(|_| damaged())?,
                    until: Timestamp::from_millis(until),
                    slot,
                }),
                _ => return Err(damaged()),
            },
        })
    })())
}

fn find(connection: &Executor, id: TenantId) -> Result<Option<TenantRow>, Fault> {
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM tenant WHERE id = ?1"))?;
    select.query_row(params![id.to_bytes()], tenant_row).optional()?.transpose()
}

/// A tenant's standing: its row with its plan's limits.
pub(super) fn standing(connection: &Executor, id: TenantId) -> Result<Option<TenantStanding>, Fault> {
    let Some(row) = find(connection, id)? else { return Ok(None) };
    let plan = plan(connection, &row.plan)?.ok_or(Fault::Damaged("a tenant's plan"))?;
    Ok(Some(TenantStanding {
        id,
        status: row.status,
        limits: Arc::new(plan.with(&row.overrides)),
        plan: row.plan,
        region: row.region,
        throwaway_until: row.throwaway.map(|it| it.until),
        own_worker: false,
        pool: plan.pool,
    }))
}

/// A plan, stored or built in.
pub(super) fn plan(connection: &Executor, name: &Slug) -> Result<Option<Plan>, Fault> {
    let stored: Option<String> = connection
        .query_row("SELECT limits FROM plan WHERE name = ?1", params![name.as_str()], |row| row.get(0))
        .optional()?;
    match stored {
        Some(text) => {
            let terms: Terms = serde_json::from_str(&text).map_err(|_| Fault::Damaged("a plan"))?;
            Ok(Some(terms.of(name.clone())))
        }
        None => {
            let built_in = Plan::built_in().map_err(|_| Fault::Damaged("a built-in plan"))?;
            Ok(built_in.into_iter().find(|plan| plan.name == *name))
        }
    }
}

fn write_row(connection: &Executor, row: &TenantRow, statement: &str) -> Result<usize, Fault> {
    let overrides: &Overrides = &row.overrides;
    let overrides = serde_json::to_string(overrides).map_err(|_| Fault::Damaged("a tenant's overrides"))?;
    let values = params![
        row.id.to_bytes(),
        row.name,
        row.external_id,
        row.region.as_str(),
        row.plan.as_str(),
        overrides,
        row.isolation.as_str(),
        row.status.as_str(),
        row.created_at.millis(),
        row.generation,
        row.version,
        row.throwaway.map(|it| it.grant.to_string()),
        row.throwaway.map(|it| it.until.millis()),
        row.throwaway.map(|it| it.slot)
    ];
    match connection.prepare_cached(statement)?.execute(values) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::Exists("a tenant with this external id".into()).into())
        }
        other => Ok(other?),
    }
}

/// A tenant to be made, with what its row alone does not say.
pub(crate) struct Making {
    pub(crate) row: TenantRow,
    pub(crate) keys: WrappedKeys,
    pub(crate) credentials: IndexLines,
    /// Which of its audit logs it writes.
    pub(crate) log_epoch: u64,
}

const INSERT: &str = "INSERT INTO tenant(id, name, external_id, region, plan, overrides, isolation, status,
    created_at, generation, version, throwaway_grant, throwaway_until, throwaway_slot)
    VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
const UPDATE: &str = "UPDATE tenant SET name = ?2, external_id = ?3, region = ?4, plan = ?5, overrides = ?6,
    isolation = ?7, status = ?8, created_at = ?9, generation = ?10, version = ?11
    WHERE id = ?1 AND version = ?11 - 1
    AND throwaway_grant IS ?12 AND throwaway_until IS ?13 AND throwaway_slot IS ?14";

/// Refuses what a new tenant cannot have: an id that is or was another's, an external id that is taken, a
/// plan that is not there.
fn check_new(connection: &Executor, row: &TenantRow) -> Result<(), Fault> {
    let exists = |what: &str| Err(StoreError::Exists(what.to_owned()).into());
    let used: bool = connection.query_row(
        "SELECT EXISTS(SELECT 1 FROM deleted_tenant WHERE id = ?1)",
        params![row.id.to_bytes()],
        |row| row.get(0),
    )?;
    if used {
        return exists("a deleted tenant with this id");
    }
    if find(connection, row.id)?.is_some() {
        return exists("a tenant with this id");
    }
    let taken: bool = connection.query_row(
        "SELECT EXISTS(SELECT 1 FROM tenant WHERE external_id = ?1)",
        params![row.external_id],
        |row| row.get(0),
    )?;
    if taken {
        return exists("a tenant with this external id");
    }
    if let Some(throwaway) = row.throwaway {
        let taken: bool = connection.query_row(
            "SELECT EXISTS(SELECT 1 FROM tenant WHERE throwaway_grant = ?1 AND throwaway_slot = ?2)",
            params![throwaway.grant.to_string(), throwaway.slot],
            |row| row.get(0),
        )?;
        if taken {
            return exists("a throwaway tenant in this place of the grant");
        }
    }
    check_plan(connection, row)
}

fn check_plan(connection: &Executor, row: &TenantRow) -> Result<(), Fault> {
    match plan(connection, &row.plan)? {
        Some(_) => Ok(()),
        None => Err(StoreError::Invalid(format!("There is no plan `{}`.", row.plan)).into()),
    }
}

impl Platform {
    /// Refuses a tenant that cannot be made, before anything is written for it.
    pub(crate) async fn check_new_tenant(self: &Arc<Self>, row: TenantRow) -> Result<(), Fault> {
        self.read(move |connection| check_new(connection, &row)).await
    }

    /// Makes a tenant, its keys and its first key's line in one durable write.
    pub(crate) async fn make_tenant(self: &Arc<Self>, making: Making) -> Result<(), Fault> {
        self.write(
            move |connection| {
                let id = making.row.id;
                check_new(connection, &making.row)?;
                write_row(connection, &making.row, INSERT)?;
                put_keys(connection, id, &making.keys)?;
                let note = "UPDATE tenant SET log_epoch = ?2 WHERE id = ?1";
                connection.execute(note, params![id.to_bytes(), making.log_epoch])?;
                making.credentials.iter().try_for_each(|(hash, subject, expires_at)| {
                    index::insert(connection, hash, Some(id), subject, *expires_at)
                })
            },
            |_| (),
        )
        .await
    }

    /// A tenant's row.
    pub(crate) async fn tenant_row(self: &Arc<Self>, id: TenantId) -> Result<Option<TenantRow>, Fault> {
        self.read(move |connection| find(connection, id)).await
    }

    /// Rows after an id.
    pub(crate) async fn tenant_rows(
        self: &Arc<Self>,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRow>, Fault> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM tenant WHERE id > ?1 ORDER BY id LIMIT ?2"
            ))?;
            let after = after.map_or([0; 16], Id::to_bytes);
            let rows = select.query_map(params![after, limit], tenant_row)?;
            rows.map(|row| row?).collect()
        })
        .await
    }

    /// Changes a row, if it still has the version before the given one's.
    pub(crate) async fn change_tenant(self: &Arc<Self>, row: TenantRow) -> Result<(), Fault> {
        let id = row.id;
        self.write(
            move |connection| {
                let found = find(connection, id)?.ok_or(Fault::Answer(StoreError::NotFound))?;
                if found.region != row.region {
                    let detail = "A tenant's region does not change: its data would stay behind.";
                    return Err(StoreError::Invalid(detail.into()).into());
                }
                if found.isolation != row.isolation {
                    let detail = "A tenant's isolation does not change.";
                    return Err(StoreError::Invalid(detail.into()).into());
                }
                if found.throwaway != row.throwaway {
                    let detail = "Which grant made a tenant does not change.";
                    return Err(StoreError::Invalid(detail.into()).into());
                }
                check_plan(connection, &row)?;
                match write_row(connection, &row, UPDATE)? {
                    0 => Err(StoreError::Stale.into()),
                    _ => Ok(()),
                }
            },
            move |cache| forget(cache, id),
        )
        .await
    }

    /// Counts a restore. Whatever else changes the row meanwhile stays.
    pub(crate) async fn next_generation(self: &Arc<Self>, id: TenantId) -> Result<(), Fault> {
        self.write(
            move |connection| {
                connection.execute(
                    "UPDATE tenant SET generation = generation + 1, version = version + 1 WHERE id = ?1",
                    params![id.to_bytes()],
                )?;
                Ok(())
            },
            move |cache| forget(cache, id),
        )
        .await
    }

    /// Which of its audit logs a tenant writes.
    pub(crate) async fn log_epoch(self: &Arc<Self>, id: TenantId) -> Result<u64, Fault> {
        self.read(move |connection| {
            let select = "SELECT log_epoch FROM tenant WHERE id = ?1";
            Ok(connection.query_row(select, params![id.to_bytes()], |row| row.get(0))?)
        })
        .await
    }

    /// Ends a tenant's audit log, of which a part was lost; gives back the epoch of the one that begins. For
    /// blocking threads.
    pub(crate) fn begin_log(&self, id: TenantId) -> Result<u64, Fault> {
        self.write_now(
            |connection| {
                let begin = "UPDATE tenant SET log_epoch = log_epoch + 1 WHERE id = ?1 RETURNING log_epoch";
                Ok(connection.query_row(begin, params![id.to_bytes()], |row| row.get(0))?)
            },
            |_| (),
        )
    }

    /// Deleted tenants of which files or journal entries may be left.
    pub(crate) async fn unfinished_erasures(self: &Arc<Self>) -> Result<Vec<(TenantId, Slug)>, Fault> {
        self.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT id, region FROM deleted_tenant WHERE unfinished > 0")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (id, region) = row?;
                let region = region.parse().map_err(|_| Fault::Damaged("a deleted tenant's region"))?;
                Ok((TenantId::from_bytes(id), region))
            })
            .collect()
        })
        .await
    }

    /// Notes that nothing is left of a deleted tenant.
    pub(crate) async fn finish_erasure(self: &Arc<Self>, id: TenantId) -> Result<(), Fault> {
        self.write(
            move |connection| {
                let bytes = id.to_bytes();
                let left = "DELETE FROM deleted_tenant WHERE id = ?1 AND unfinished = 2";
                connection.execute(left, params![bytes])?;
                let finish = "UPDATE deleted_tenant SET unfinished = 0 WHERE id = ?1";
                connection.execute(finish, params![bytes])?;
                Ok(())
            },
            |_| (),
        )
        .await
    }

    /// Destroys a tenant's wrapped keys, its lines in the index and its row; its id stays taken. Gives back
    /// how many lines there were.
    pub(crate) async fn destroy_tenant(
        self: &Arc<Self>,
        id: TenantId,
        at: Timestamp,
    ) -> Result<usize, Fault> {
        self.write(
            move |connection| {
                let bytes = id.to_bytes();
                let row = find(connection, id)?.ok_or(Fault::Answer(StoreError::NotFound))?;
                connection.execute("DELETE FROM tenant_key WHERE tenant = ?1", params![bytes])?;
                let lines = connection.execute("DELETE FROM credential WHERE tenant = ?1", params![bytes])?;
                connection.execute("DELETE FROM key_use WHERE tenant = ?1", params![bytes])?;
                connection.execute("DELETE FROM tenant WHERE id = ?1", params![bytes])?;
                connection.execute(
                    "INSERT INTO deleted_tenant(id, deleted_at, region, unfinished) VALUES(?1, ?2, ?3, ?4)",
                    // One that is elsewhere by now may come back.
                    params![
                        bytes,
                        at.millis(),
                        row.region.as_str(),
                        if row.status == TenantStatus::Leaving { 2 } else { 1 }
                    ],
                )?;
                Ok(lines)
            },
            move |cache| forget(cache, id),
        )
        .await
    }

    /// Empties the write-ahead log, so that no page of what was destroyed stays in it.
    pub(crate) async fn checkpoint(self: &Arc<Self>) -> Result<bool, Fault> {
        let this = self.clone();
        crate::tenant::blocking(move || Ok(this.lock().checkpoint()?)).await
    }
}

fn forget(cache: &mut Cache, id: TenantId) {
    cache.standings.pop(&id);
    cache.forget_lines(id);
}
