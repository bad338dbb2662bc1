//! Usage: calls from their reservation to their settlement. Written through the journal without touching
//! the tables, since every request writes it and few read it.

use super::{from_text, or_none, some_forgotten, to_text, usage_report};
use crate::EmbeddedStore;
use crate::error::Fault;
use crate::rows::{Cell, RowChange, Table};
use crate::tenant::Append;
use async_trait::async_trait;
use context::{Access, Delete, Private, Read, Tenant, on};
use env::Timestamp;
use ids::{CallId, EventId, Id};
use money::Usd;
use sqlcipher::{Executor, OptionalExtension, params};
use std::collections::BTreeMap;
use store::{
    Call, CallKind, CallOutcome, CallStatus, Commit, LookBack, Mark, MeterState, Payer, Placed, Spent,
    StoreError, UsageQuery, UsageRow, UsageStore, WorkKind,
};
use store_core::totals::Totals;

pub(crate) const fn kind_name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Model => "model",
        CallKind::Service => "service",
    }
}

pub(super) fn kind_of(name: &str) -> Result<CallKind, Fault> {
    let known = [CallKind::Model, CallKind::Service].into_iter().find(|kind| kind_name(*kind) == name);
    known.ok_or(Fault::Damaged("a call's kind"))
}

fn row(call: &Call, outcome: Option<&CallOutcome>) -> Result<RowChange, Fault> {
    let status = outcome.map_or(CallStatus::Open, |outcome| outcome.status);
    let cells = vec![
        Cell::from(call.id.to_string()),
        Cell::from(kind_name(call.kind)),
        Cell::from(call.started_at),
        Cell::from(status.as_str()),
        Cell::from(to_text(call)?),
        Cell::from(outcome.map(to_text).transpose()?),
    ];
    Ok(match outcome {
        None => RowChange::Put(Table::Call, cells),
        Some(_) => RowChange::Settle(cells),
    })
}

fn as_append(row: RowChange, commit: Commit) -> Append {
    Append { rows: vec![row], events: commit.events, marks: commit.marks, ..Append::default() }
}

#[async_trait]
impl UsageStore for EmbeddedStore {
    async fn begin_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        commit: Commit,
    ) -> Result<Vec<EventId>, StoreError> {
        self.inner().leases.permit(tenant)?;
        let mark = Mark::Open { kind: WorkKind::Call, id: call.id.to_bytes(), due: Some(call.lease_until) };
        let (handle, row, commit) = (self.handle(tenant).await?, row(call, None)?, commit.and_mark(mark));
        if commit.claim.is_some() {
            // Whether a key is taken, only the tables can tell.
            return handle.write_events(commit, move |txn| txn.apply(row)).await;
        }
        Ok(handle.append(as_append(row, commit)).await?)
    }

    async fn place_outcome(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<Placed, StoreError> {
        let mark = Mark::Closed { kind: WorkKind::Call, id: call.id.to_bytes() };
        let (handle, row) = (self.handle(tenant).await?, row(call, Some(&outcome))?);
        let commit = commit.and_mark(mark);
        if commit.claim.is_some() {
            handle.write_events(commit, move |txn| txn.apply(row)).await?;
            return Ok(Placed::written_already());
        }
        let placed = handle.place_append(as_append(row, commit)).await?;
        Ok(Placed::until(async { Ok(placed.written().await.map(drop)?) }))
    }

    async fn call<'t>(
        &self,
        tenant: &Tenant<'t>,
        id: CallId,
    ) -> Result<Private<'t, (Call, bool)>, StoreError> {
        self.read_private(tenant, move |database, _| {
            let mut select =
                database.connection.prepare_cached("SELECT body, status FROM call WHERE id = ?1")?;
            let found: Option<(String, String)> =
                select.query_row(params![id.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let (body, status) = found.ok_or(Fault::Answer(StoreError::NotFound))?;
            Ok((from_text(&body)?, status == CallStatus::Open.as_str()))
        })
        .await
    }

    async fn meter_state<'t>(
        &self,
        tenant: &Tenant<'t>,
        back: LookBack,
    ) -> Result<Private<'t, MeterState>, StoreError> {
        self.read_private(tenant, move |database, _| {
            let tables = &database.connection;
            let charged = charged(tables, back)?;
            let spent = spent(tables, back.charges, &charged)?;
            // However long ago they were begun.
            let open = open_calls(tables, Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX))?;
            Ok(MeterState { recent: recent(tables, back.uses)?, open, charged, spent })
        })
        .await
    }

    async fn stored<'t>(&self, tenant: &Tenant<'t>) -> Result<Private<'t, u64>, StoreError> {
        self.read_private(tenant, |database, _| database.bytes()).await
    }

    async fn usage<'t>(
        &self,
        access: &Access<'t, Read<on::Usage>>,
        query: &UsageQuery,
    ) -> Result<Private<'t, Vec<UsageRow>>, StoreError> {
        let query = query.clone();
        self.read_private(access.tenant(), move |database, _| {
            usage_report::report(&database.connection, &query)
        })
        .await
    }

    async fn forget_calls(
        &self,
        access: &Access<'_, Delete<on::Usage>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let handle = self.handle(access.tenant()).await?;
        let forgotten = handle.write(false, commit, move |txn| {
            let mut select = txn.tables().prepare_cached(
                "SELECT id FROM call WHERE started_at < ?1 AND status <> 'open' ORDER BY started_at LIMIT ?2",
            )?;
            let ids = select.query_map(params![before.millis(), FORGET_AT_ONCE], |row| row.get(0))?;
            let ids = ids.collect::<Result<Vec<String>, _>>()?;
            let count = ids.len();
            ids.into_iter().try_for_each(|id| txn.delete(Table::Call, vec![Cell::from(id)]))?;
            some_forgotten(count)
        });
        or_none(forgotten.await)
    }
}

/// How many calls one call forgets, so that retention never holds a tenant's tables for long.
const FORGET_AT_ONCE: u32 = 500;
/// The steps in which recent uses are told.
const STEP_MILLIS: i64 = 10_000;

fn recent(tables: &Executor, since: Timestamp) -> Result<Vec<(CallKind, Timestamp, u64)>, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT started_at / ?2 * ?2 AS step, kind, count(*) FROM call
         WHERE started_at > ?1 AND (outcome IS NULL OR NOT json_extract(outcome, '$.cached'))
         GROUP BY step, kind ORDER BY step, kind",
    )?;
    let rows = select.query_map(params![since.millis(), STEP_MILLIS], |row| {
        Ok((row.get::<_, String>(1)?, Timestamp::from_millis(row.get(0)?), row.get(2)?))
    })?;
    rows.map(|row| row.map_err(Fault::from).and_then(|(kind, at, count)| Ok((kind_of(&kind)?, at, count))))
        .collect()
}

/// Calls that ended within the last moments.
fn charged(tables: &Executor, back: LookBack) -> Result<Vec<(Call, Usd)>, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT body, outcome FROM call JOIN call_ended ON call_ended.call = call.id
         WHERE call_ended.at > ?1 AND started_at >= ?2 AND status <> 'released' ORDER BY started_at, id",
    )?;
    let rows = select.query_map(params![back.moments.millis(), back.charges.millis()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut charged: Vec<(Call, Usd)> = Vec::new();
    for row in rows {
        let (body, outcome) = row?;
        let (call, outcome): (Call, CallOutcome) = (from_text(&body)?, from_text(&outcome)?);
        // One whose outcome was corrected ended twice.
        if charged.last().is_none_or(|(last, _)| last.id != call.id) {
            charged.push((call, outcome.cost));
        }
    }
    Ok(charged)
}

/// What all other calls were charged.
fn spent(tables: &Executor, since: Timestamp, apart: &[(Call, Usd)]) -> Result<Vec<Spent>, Fault> {
    let mut sums = BTreeMap::new();
    let mut select = tables
        .prepare_cached("SELECT hour, key, agent, workflow, totals FROM usage_hour WHERE hour >= ?1")?;
    let mut rows = select.query(params![since.millis()])?;
    while let Some(row) = rows.next()? {
        let payer = Payer { key: id(row.get(1)?)?, agent: id(row.get(2)?)? };
        let of = (Timestamp::from_millis(row.get(0)?), payer, id(row.get(3)?)?);
        let totals: Totals = from_text(&row.get::<_, String>(4)?)?;
        let sum = sums.entry(of).or_insert(Usd::ZERO);
        *sum = sum.plus(totals.cost);
    }
    for (call, cost) in apart {
        if let Some(sum) = sums.get_mut(&(call.started_at.hour(), call.payer, call.workflow)) {
            *sum = sum.minus(*cost);
        }
    }
    let spent = sums.into_iter().filter(|(_, cost)| !cost.is_zero());
    Ok(spent.map(|((hour, payer, workflow), cost)| Spent { hour, payer, workflow, cost }).collect())
}

fn id<I: std::str::FromStr>(text: String) -> Result<Option<I>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Fault::Damaged("a sum of usage"))
}

pub(super) fn open_calls(tables: &Executor, from: Timestamp, to: Timestamp) -> Result<Vec<Call>, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT body FROM call WHERE status = 'open' AND started_at >= ?1 AND started_at < ?2
         ORDER BY started_at, id",
    )?;
    let rows = select.query_map(params![from.millis(), to.millis()], |row| row.get::<_, String>(0))?;
    rows.map(|body| from_text(&body?)).collect()
}
