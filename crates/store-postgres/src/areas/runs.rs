//! Runs: what moves them is their cursor alone, compared and set in one transaction.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{OWN, Session, params};
use crate::tenant::{Addition, EVENT, STEP, Standing, TenantHandle, Txn, event_place, sealed_run};
use async_trait::async_trait;
use context::{Access, Create, Delete, Private, Read, ReadContent, Update, on};
use env::Timestamp;
use ids::{RunId, WorkflowId};
use serde_json::Value;
use std::sync::Arc;
use store::{
    Commit, Page, PageRequest, Run, RunEvent, RunStatus, RunStore, RunUpdate, StepRow, StoreError, StoredRun,
    UnknownDelivery,
};
use store_core::cursor;
use store_core::page::{one_more, paged};
use tokio_postgres::Row;

/// How many runs are forgotten at once.
const FORGET_AT_ONCE: i64 = 200;

/// What does not change once a run has begun: definition, configuration, input.
type Frozen = (String, Value, Value);

fn run_of(handle: &TenantHandle, id: &str, sealed: &[u8]) -> Result<Run, Fault> {
    handle.open("run", &[id, "run"], sealed)
}

fn missing() -> Fault {
    StoreError::NotFound.into()
}

/// The parts of a run of one kind, from a place on, in their order.
async fn parts(session: &Session, id: &str, kind: &str, from: &str, limit: i64) -> Result<Vec<Row>, Fault> {
    let select = "SELECT place, body FROM run_part WHERE run = $1 AND kind = $2 AND place >= $3
        ORDER BY place LIMIT $4";
    let values = params![id => TEXT, kind => TEXT, from => TEXT, limit => INT8];
    Ok(session.query_typed(select, values).await?)
}

async fn steps(handle: &TenantHandle, session: &Session, id: &str) -> Result<Vec<StepRow>, Fault> {
    let step = |row: &Row| {
        let place: &str = row.try_get(0)?;
        let (step, state): (StepRow, String) =
            handle.open("run_part", &[id, STEP, place], row.try_get(1)?)?;
        Ok(StepRow { state, ..step })
    };
    parts(session, id, STEP, "", i64::MAX).await?.iter().map(step).collect()
}

/// Writes a run that begins, or says which run the same delivery began.
async fn create(
    txn: &Txn,
    stored: &StoredRun,
    delivery: Option<&str>,
    limit: Option<u64>,
) -> Result<(), Fault> {
    let (id, workflow) = (stored.run.id.to_string(), stored.run.workflow.to_string());
    let [run, frozen, state] = sealed_run(&txn.handle, stored)?;
    let bytes = (run.len() + state.len()) as i64;
    txn.admit(limit, bytes + frozen.len() as i64)?;
    txn.keeps_data();
    let put = "INSERT INTO run(id, workflow, status, cursor, finished_at, events, run, frozen, state)
        VALUES($1, $2, $3, $4, $5, 0, $6, $7, $8) ON CONFLICT DO NOTHING";
    let values = params![id => TEXT, workflow => TEXT, stored.run.status.as_str() => TEXT,
        stored.run.cursor.cast_signed() => INT8, stored.run.finished_at.map(Timestamp::millis) => INT8,
        run => BYTEA, frozen => BYTEA, state => BYTEA];
    if txn.execute_typed(put, values).await? == 0 {
        return Err(StoreError::Exists(format!("run {id}")).into());
    }
    if let Some(delivery) = delivery {
        let token = txn.handle.delivery_token(&workflow, delivery);
        let put = "INSERT INTO delivery(token, run) VALUES($1, $2)";
        txn.execute_typed(put, params![token => BYTEA, id => TEXT]).await?;
    }
    txn.begins(id, Standing { cursor: stored.run.cursor, bytes, ..Standing::default() });
    Ok(())
}

async fn earlier(session: &Session, token: &[u8]) -> Result<Option<RunId>, Fault> {
    let row =
        session.query_typed_opt("SELECT run FROM delivery WHERE token = $1", params![token => BYTEA]).await?;
    let id = |row: Row| row.try_get::<_, &str>(0)?.parse().map_err(|_| Fault::Damaged("a delivery"));
    row.map(id).transpose()
}

/// Removes the oldest runs that ended before, with all that hangs on them.
async fn forget(txn: &Txn, before: Timestamp) -> Result<u64, Fault> {
    txn.changes_runs();
    let old = format!(
        "SELECT id, octet_length(run)::int8 + octet_length(frozen)::int8 + octet_length(state)::int8
            + coalesce((SELECT sum(octet_length(body)) FROM run_part WHERE run_part.run = run.id), 0)::int8
        FROM run WHERE {OWN} AND finished_at < $1 ORDER BY finished_at, id LIMIT $2"
    );
    let rows = txn.query_typed(&old, params![before.millis() => INT8, FORGET_AT_ONCE => INT8]).await?;
    let mut ids = Vec::new();
    for row in &rows {
        ids.push(row.try_get::<_, String>(0)?);
        txn.stores(-row.try_get::<_, i64>(1)?);
    }
    let parts = format!("DELETE FROM run_part WHERE {OWN} AND run = ANY($1)");
    txn.execute_typed(&parts, params![ids => TEXT_ARRAY]).await?;
    super::some_forgotten(
        txn.execute_typed(
            &format!("DELETE FROM run WHERE {OWN} AND id = ANY($1)"),
            params![ids => TEXT_ARRAY],
        )
        .await?,
    )
}

#[async_trait]
impl RunStore for PostgresStore {
    async fn create_run(
        &self,
        access: &Access<'_, Create<on::Run>>,
        run: StoredRun,
        delivery: Option<String>,
        commit: Commit,
    ) -> Result<UnknownDelivery, StoreError> {
        let limit = access.tenant().standing().limits.storage_bytes;
        let handle = self.handle(access.tenant().id()).await?;
        if delivery.is_none() && commit.claim.is_none() {
            handle.add(None, commit, Addition::Made(Box::new(run), limit)).await?;
            return Ok(UnknownDelivery::New);
        }
        let workflow = run.run.workflow.to_string();
        let token = delivery.as_ref().map(|delivery| handle.delivery_token(&workflow, delivery));
        let known = token.clone();
        let work = move |txn: Txn| async move {
            // Where there is one already nothing is written, and the commit neither.
            if let Some(token) = &known
                && earlier(&txn, token).await?.is_some()
            {
                return Err(StoreError::Stale.into());
            }
            create(&txn, &run, delivery.as_deref(), limit).await
        };
        match (handle.write(commit, work).await, token) {
            (Ok(_), _) => Ok(UnknownDelivery::New),
            (Err(Fault::Answer(StoreError::Stale)), Some(token)) => {
                let read = |_: Arc<TenantHandle>, session: Arc<Session>| async move {
                    earlier(&session, &token).await?.ok_or(Fault::Answer(StoreError::Stale))
                };
                Ok(UnknownDelivery::Repeated(crate::store_impl::snapshot(handle, read).await?.1))
            }
            (Err(fault), _) => Err(fault.into()),
        }
    }

    async fn room(&self, access: &Access<'_, Update<on::Run>>) -> Result<Option<u64>, StoreError> {
        let Some(limit) = access.tenant().standing().limits.storage_bytes else { return Ok(None) };
        let handle = self.handle(access.tenant().id()).await?;
        let (_, rows) = handle.read("SELECT stored_bytes FROM log_head", &[]).await?;
        let stored: i64 = rows.first().ok_or(Fault::KeyGone)?.try_get(0).map_err(Fault::from)?;
        Ok(Some(limit.saturating_sub(stored.max(0).cast_unsigned())))
    }

    async fn move_run(
        &self,
        access: &Access<'_, Update<on::Run>>,
        update: RunUpdate,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let handle = self.handle(access.tenant().id()).await?;
        handle.add(access.tenant().lease(), commit, Addition::Moved(Box::new(update))).await?;
        Ok(())
    }

    async fn load_run<'t>(
        &self,
        access: &Access<'t, Update<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (StoredRun, Vec<StepRow>)>, StoreError> {
        let id = id.to_string();
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            let select = "SELECT run, frozen, state FROM run WHERE id = $1";
            let row = session.query_typed_opt(select, params![id => TEXT]).await?.ok_or_else(missing)?;
            let run = run_of(&handle, &id, row.try_get(0)?)?;
            let (definition, config, input): Frozen =
                handle.open("run", &[&id, "frozen"], row.try_get(1)?)?;
            let state = handle.open("run", &[&id, "state"], row.try_get(2)?)?;
            let steps = steps(&handle, &session, &id).await?;
            Ok((StoredRun { run, definition, config, input, state }, steps))
        };
        self.read_with(access.tenant(), read).await
    }

    async fn run<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Run>, StoreError> {
        let id = id.to_string();
        self.read(
            access.tenant(),
            "SELECT run FROM run WHERE id = $1",
            params![id => TEXT],
            |handle, rows| run_of(handle, &id, rows.first().ok_or_else(missing)?.try_get(0)?),
        )
        .await
    }

    async fn steps<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Vec<StepRow>>, StoreError> {
        let id = id.to_string();
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            let there = "SELECT 1 FROM run WHERE id = $1";
            session.query_typed_opt(there, params![id => TEXT]).await?.ok_or_else(missing)?;
            let steps = steps(&handle, &session, &id).await?.into_iter();
            Ok(steps
                .map(|step| StepRow { input: None, output: None, state: String::new(), ..step })
                .collect())
        };
        self.read_with(access.tenant(), read).await
    }

    async fn steps_with_content<'t>(
        &self,
        access: &Access<'t, ReadContent<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (Value, Vec<StepRow>)>, StoreError> {
        let id = id.to_string();
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            let select = "SELECT frozen FROM run WHERE id = $1";
            let row = session.query_typed_opt(select, params![id => TEXT]).await?.ok_or_else(missing)?;
            let (_, _, input): Frozen = handle.open("run", &[&id, "frozen"], row.try_get(0)?)?;
            Ok((input, steps(&handle, &session, &id).await?))
        };
        self.read_with(access.tenant(), read).await
    }

    async fn run_events<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<RunEvent>>, StoreError> {
        let id = id.to_string();
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            let there = "SELECT 1 FROM run WHERE id = $1";
            session.query_typed_opt(there, params![id => TEXT]).await?.ok_or_else(missing)?;
            let rows = parts(&session, &id, EVENT, &event_place(from), i64::from(limit)).await?;
            let event = |row: &Row| handle.open("run_part", &[&id, EVENT, row.try_get(0)?], row.try_get(1)?);
            rows.iter().map(event).collect()
        };
        self.read_with(access.tenant(), read).await
    }

    async fn runs<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        workflow: Option<WorkflowId>,
        status: Option<RunStatus>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Run>>, StoreError> {
        let list = format!("run/{workflow:?}/{status:?}");
        let handle = self.handle(access.tenant().id()).await?;
        let open = |text: &str| cursor::open::<String>(handle.keys(), &list, text);
        let before = page.cursor.as_deref().map(open).transpose()?;
        let select = "SELECT id, run FROM run WHERE ($1::text IS NULL OR workflow = $1)
            AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4";
        let values = params![workflow.map(|id| id.to_string()) => TEXT, status.map(RunStatus::as_str) => TEXT,
            before => TEXT, i64::from(one_more(page)) => INT8];
        self.read(access.tenant(), select, values, |handle, rows| {
            let run = |row: &Row| run_of(handle, row.try_get(0)?, row.try_get(1)?);
            let runs = rows.iter().map(run).collect::<Result<Vec<_>, _>>()?;
            let seal = |id: String| cursor::seal(handle.keys(), &handle.env, &list, &id);
            Ok(paged(page, runs, |run| run.id.to_string(), seal)?)
        })
        .await
    }

    async fn forgettable_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let handle = self.handle(access.tenant().id()).await?;
        let select = "SELECT 1 FROM run WHERE finished_at < $1 LIMIT $2";
        let values = params![before.millis() => INT8, FORGET_AT_ONCE => INT8];
        Ok(handle.read(select, values).await?.1.len() as u64)
    }

    async fn forget_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let handle = self.handle(access.tenant().id()).await?;
        let work = move |txn: Txn| async move { forget(&txn, before).await };
        super::or_none(handle.write(commit, work).await.map(|written| written.value))
    }
}
