//! Runs: the cursor, the steps and the engine's events, each move in one commit.

use super::{from_text, one_more, or_none, paged, some_forgotten, to_text};
use crate::error::Fault;
use crate::rows::{Cell, RowChange, Table, Tables};
use crate::tenant::{Append, Database, Moved, RunPlace, Txn};
use crate::{EmbeddedStore, cursor};
use async_trait::async_trait;
use context::{Access, Create, Delete, Private, Read, ReadContent, Update, on};
use env::Timestamp;
use ids::{RunId, WorkflowId};
use serde_json::Value;
use sqlcipher::{Executor, OptionalExtension, params};
use std::sync::Arc;
use store::{
    Commit, Page, PageRequest, Run, RunEvent, RunStatus, RunStore, RunUpdate, StepRow, StoreError, StoredRun,
    UnknownDelivery,
};
use store_core::keys::EqualityKey;

/// How many runs one call forgets, so that retention never holds a tenant's tables for long.
const FORGET_AT_ONCE: u32 = 200;

fn run_row(run: &Run, state: String) -> Result<RowChange, Fault> {
    let cells = vec![
        Cell::from(run.id.to_string()),
        Cell::from(run.workflow.to_string()),
        Cell::from(run.status.as_str()),
        Cell::from(run.finished_at),
        Cell::from(run.cursor),
        Cell::from(to_text(run)?),
        Cell::from(state),
    ];
    Ok(RowChange::Put(Table::Run, cells))
}

/// What a move puts that begins here, and where it leaves the run.
fn moved(update: &RunUpdate, from: RunPlace, past_tables: bool) -> Result<(Vec<RowChange>, Moved), Fault> {
    let run = update.run.id.to_string();
    let mut rows = Vec::with_capacity(update.steps.len() + update.events.len() + 1);
    for step in &update.steps {
        let cells =
            [run.clone(), step.id.to_string(), to_text(step)?, step.state.clone()].map(Cell::from).to_vec();
        rows.push(RowChange::Put(Table::Step, cells));
    }
    let mut number = from.next_event;
    for (at, event) in &update.events {
        let cells =
            vec![Cell::from(run.as_str()), Cell::from(number), Cell::from(*at), Cell::from(to_text(event)?)];
        rows.push(RowChange::Put(Table::RunEvent, cells));
        number += 1;
    }
    rows.push(run_row(&update.run, update.state.clone())?);
    let to = RunPlace { cursor: update.run.cursor, next_event: number, past_tables };
    let under_way = update.run.status == RunStatus::Running;
    Ok((rows, Moved { run: update.run.id, to, under_way }))
}

/// Where a run stands, as the tables have it.
fn place(tables: &Executor, run: RunId) -> Result<RunPlace, Fault> {
    let run = run.to_string();
    let mut cursor = tables.prepare_cached("SELECT cursor FROM run WHERE id = ?1")?;
    let cursor: Option<u64> = cursor.query_row(params![run], |row| row.get(0)).optional()?;
    let cursor = cursor.ok_or(Fault::Answer(StoreError::NotFound))?;
    let mut last = tables.prepare_cached("SELECT max(number) FROM run_event WHERE run = ?1")?;
    let last: Option<u64> = last.query_row(params![run], |row| row.get(0))?;
    Ok(RunPlace { cursor, next_event: last.map_or(0, |last| last + 1), past_tables: false })
}

fn find(tables: &Executor, id: RunId) -> Result<(Run, String), Fault> {
    let mut select = tables.prepare_cached("SELECT body, state FROM run WHERE id = ?1")?;
    let found: Option<(String, String)> =
        select.query_row(params![id.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (body, state) = found.ok_or(Fault::Answer(StoreError::NotFound))?;
    Ok((from_text(&body)?, state))
}

fn source(tables: &Executor, id: RunId) -> Result<(String, Value, Value), Fault> {
    let mut select =
        tables.prepare_cached("SELECT definition, config, input FROM run_source WHERE run = ?1")?;
    let found: Option<(String, String, String)> = select
        .query_row(params![id.to_string()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (definition, config, input) = found.ok_or(Fault::Answer(StoreError::NotFound))?;
    Ok((definition, from_text(&config)?, from_text(&input)?))
}

fn steps(tables: &Executor, id: RunId) -> Result<Vec<StepRow>, Fault> {
    find(tables, id)?;
    let mut select = tables.prepare_cached("SELECT body, state FROM step WHERE run = ?1 ORDER BY id")?;
    let rows = select
        .query_map(params![id.to_string()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let step = |row: Result<(String, String), _>| {
        let (body, state) = row?;
        Ok(StepRow { state, ..from_text(&body)? })
    };
    rows.map(step).collect()
}

/// The run that a delivery began, also where the tenant was elsewhere then: of such a delivery there is a token.
fn repeated(
    tables: &Executor,
    tokens: &EqualityKey,
    (workflow, delivery): (WorkflowId, &str),
) -> Result<Option<RunId>, Fault> {
    let workflow = workflow.to_string();
    let token = hex::encode(tokens.delivery(&workflow, delivery));
    let mut select = tables.prepare_cached(
        "SELECT run FROM delivery WHERE (workflow = ?1 AND delivery = ?2) OR (workflow = '' AND delivery = ?3)",
    )?;
    let found: Option<String> =
        select.query_row(params![workflow, delivery, token], |row| row.get(0)).optional()?;
    found.map(|run| run.parse().map_err(|_| Fault::Damaged("a delivery's run"))).transpose()
}

#[async_trait]
impl RunStore for EmbeddedStore {
    async fn create_run(
        &self,
        access: &Access<'_, Create<on::Run>>,
        stored: StoredRun,
        delivery: Option<String>,
        commit: Commit,
    ) -> Result<UnknownDelivery, StoreError> {
        let quota = self.quota(access.tenant());
        let handle = self.handle(access.tenant()).await?;
        let workflow = stored.run.workflow;
        let tokens = Arc::new(handle.keys().equality());
        if let Some(delivery) = delivery.clone() {
            let tokens = tokens.clone();
            let read =
                move |database: &Database| repeated(&database.connection, &tokens, (workflow, &delivery));
            let known = handle.read(read).await?;
            if let Some(run) = known {
                return Ok(UnknownDelivery::Repeated(run));
            }
        }
        let made = handle
            .write(true, commit, move |txn| {
                let run = &stored.run;
                if let Some(delivery) = &delivery {
                    if let Some(earlier) = repeated(txn.tables(), &tokens, (workflow, delivery))? {
                        // Between the look-up above and this batch the same delivery came in once more. Its
                        // events must not be written a second time, so this write fails as a whole.
                        return Err(StoreError::Exists(earlier.to_string()).into());
                    }
                    let cells = vec![
                        Cell::from(workflow.to_string()),
                        Cell::from(delivery.as_str()),
                        Cell::from(run.id.to_string()),
                    ];
                    txn.put(Table::Delivery, cells)?;
                }
                if find(txn.tables(), run.id).is_ok() {
                    return Err(StoreError::Exists(format!("run {}", run.id)).into());
                }
                let (config, input) = (to_text(&stored.config)?, to_text(&stored.input)?);
                quota.admit(txn, config.len() + input.len() + stored.definition.len())?;
                let cells = vec![
                    Cell::from(run.id.to_string()),
                    Cell::from(stored.definition.as_str()),
                    Cell::from(config),
                    Cell::from(input),
                ];
                txn.put(Table::RunSource, cells)?;
                let to = RunPlace { cursor: run.cursor, next_event: 0, past_tables: false };
                txn.moves(Moved { run: run.id, to, under_way: true });
                txn.apply(run_row(run, stored.state)?)
            })
            .await;
        match made {
            Ok(()) => Ok(UnknownDelivery::New),
            Err(StoreError::Exists(what)) => {
                what.parse().map(UnknownDelivery::Repeated).map_err(|_| StoreError::Exists(what))
            }
            Err(error) => Err(error),
        }
    }

    async fn room(&self, access: &Access<'_, Update<on::Run>>) -> Result<Option<u64>, StoreError> {
        let Some(limit) = access.tenant().standing().limits.storage_bytes else { return Ok(None) };
        let handle = self.handle(access.tenant()).await?;
        // Asked with every step: what waits to be taken over may be missing.
        let used = |database: &Database| crate::tenant::used_bytes(&database.connection);
        let stored = handle.look_up(Tables::default(), used).await?;
        Ok(Some(limit.saturating_sub(stored)))
    }

    async fn move_run(
        &self,
        access: &Access<'_, Update<on::Run>>,
        update: RunUpdate,
        commit: Commit,
    ) -> Result<(), StoreError> {
        self.inner().leases.permit(access.tenant())?;
        let handle = self.handle(access.tenant()).await?;
        let id = update.run.id;
        // A claim is looked for in the tables.
        if commit.claim.is_none()
            && let Some(from) = handle.run_place(id)
        {
            let (rows, moved) = moved(&update, from, true)?;
            let (events, marks) = (commit.events.clone(), commit.marks.clone());
            if handle.append_moves(&Append { rows, events, marks, moved: vec![moved] }).await? {
                return Ok(());
            }
        }
        handle
            .write(true, commit, move |txn| {
                let from = place(txn.tables(), id)?;
                if from.cursor + 1 != update.run.cursor {
                    return Err(StoreError::Stale.into());
                }
                let (rows, moved) = moved(&update, from, false)?;
                txn.moves(moved);
                rows.into_iter().try_for_each(|row| txn.apply(row))
            })
            .await
    }

    async fn load_run<'t>(
        &self,
        access: &Access<'t, Update<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (StoredRun, Vec<StepRow>)>, StoreError> {
        let handle = self.handle(access.tenant()).await?;
        // The tables have a run as it was put there last, unless it was moved past them since.
        let waits = handle.run_place(id).is_none_or(|place| place.past_tables);
        let tables = if waits { Tables::ALL } else { Tables::default() };
        self.look_up_private(access.tenant(), tables, move |database, _| {
            let (run, state) = find(&database.connection, id)?;
            let (definition, config, input) = source(&database.connection, id)?;
            let steps = steps(&database.connection, id)?;
            Ok((StoredRun { run, definition, config, input, state }, steps))
        })
        .await
    }

    async fn run<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Run>, StoreError> {
        self.read_private(access.tenant(), move |database, _| Ok(find(&database.connection, id)?.0)).await
    }

    async fn steps<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Vec<StepRow>>, StoreError> {
        self.read_private(access.tenant(), move |database, _| {
            let mut rows = steps(&database.connection, id)?;
            for row in &mut rows {
                row.input = None;
                row.output = None;
                row.state.clear();
            }
            Ok(rows)
        })
        .await
    }

    async fn steps_with_content<'t>(
        &self,
        access: &Access<'t, ReadContent<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (Value, Vec<StepRow>)>, StoreError> {
        self.read_private(access.tenant(), move |database, _| {
            let rows = steps(&database.connection, id)?;
            let input = match source(&database.connection, id) {
                Ok((_, _, input)) => input,
                Err(Fault::Answer(StoreError::NotFound)) => Value::Null,
                Err(fault) => return Err(fault),
            };
            Ok((input, rows))
        })
        .await
    }

    async fn run_events<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<RunEvent>>, StoreError> {
        self.read_private(access.tenant(), move |database, _| {
            find(&database.connection, id)?;
            let mut select = database.connection.prepare_cached(
                "SELECT number, at, body FROM run_event WHERE run = ?1 AND number >= ?2
                 ORDER BY number LIMIT ?3",
            )?;
            let rows = select.query_map(params![id.to_string(), from, limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            })?;
            let event = |row: Result<(u64, i64, String), _>| {
                let (number, at, body) = row?;
                Ok(RunEvent { number, at: Timestamp::from_millis(at), event: from_text(&body)? })
            };
            rows.map(event).collect()
        })
        .await
    }

    async fn runs<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        workflow: Option<WorkflowId>,
        status: Option<RunStatus>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Run>>, StoreError> {
        let (page, env) = (page.clone(), self.env());
        self.read_private(access.tenant(), move |database, keys| {
            let list = format!("run/{workflow:?}/{status:?}");
            let before: Option<String> =
                page.cursor.as_deref().map(|cursor| cursor::open(keys, &list, cursor)).transpose()?;
            let mut select = database.connection.prepare_cached(
                "SELECT body FROM run
                 WHERE (?1 IS NULL OR workflow = ?1) AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR id < ?3)
                 ORDER BY id DESC LIMIT ?4",
            )?;
            let values = params![
                workflow.map(|id| id.to_string()),
                status.map(RunStatus::as_str),
                before,
                one_more(&page)
            ];
            let rows = select.query_map(values, |row| row.get::<_, String>(0))?;
            let runs = rows.map(|body| from_text::<Run>(&body?)).collect::<Result<Vec<_>, Fault>>()?;
            paged(&page, runs, |last| last.id.to_string(), |id| cursor::seal(keys, &env, &list, &id))
        })
        .await
    }

    async fn forgettable_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let handle = self.handle(access.tenant()).await?;
        let count = handle.read(move |database| {
            let mut select = database.connection.prepare_cached(
                "SELECT count(*) FROM
                 (SELECT 1 FROM run WHERE finished_at IS NOT NULL AND finished_at < ?1 LIMIT ?2)",
            )?;
            Ok(select.query_row(params![before.millis(), FORGET_AT_ONCE], |row| row.get(0))?)
        });
        Ok(count.await?)
    }

    async fn forget_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let handle = self.handle(access.tenant()).await?;
        let forgotten = handle.write(false, commit, move |txn| {
            let mut select = txn.tables().prepare_cached(
                "SELECT id FROM run WHERE finished_at IS NOT NULL AND finished_at < ?1
                 ORDER BY finished_at, id LIMIT ?2",
            )?;
            let ids =
                select.query_map(params![before.millis(), FORGET_AT_ONCE], |row| row.get::<_, String>(0))?;
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            ids.iter().try_for_each(|id| forget(txn, id))?;
            some_forgotten(ids.len())
        });
        or_none(forgotten.await)
    }
}

fn forget(txn: &mut Txn<'_>, run: &str) -> Result<(), Fault> {
    let keys = |sql: &str| -> Result<Vec<Vec<Cell>>, Fault> {
        let mut select = txn.tables().prepare_cached(sql)?;
        let rows = select
            .query_map(params![run], |row| Ok(vec![Cell::Text(row.get(0)?), Cell::Text(row.get(1)?)]))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let steps = keys("SELECT run, id FROM step WHERE run = ?1")?;
    let deliveries = keys("SELECT workflow, delivery FROM delivery WHERE run = ?1")?;
    let mut numbers = txn.tables().prepare_cached("SELECT number FROM run_event WHERE run = ?1")?;
    let numbers =
        numbers.query_map(params![run], |row| row.get::<_, u64>(0))?.collect::<Result<Vec<_>, _>>()?;
    for key in steps {
        txn.delete(Table::Step, key)?;
    }
    for key in deliveries {
        txn.delete(Table::Delivery, key)?;
    }
    for number in numbers {
        txn.delete(Table::RunEvent, vec![Cell::from(run), Cell::from(number)])?;
    }
    txn.delete(Table::RunSource, vec![Cell::from(run)])?;
    txn.delete(Table::Run, vec![Cell::from(run)])
}
