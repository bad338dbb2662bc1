//! Usage: calls from their reservation to their settlement. Written through the journal without touching
//! the tables, since every request writes it and few read it.

use super::{from_text, to_text};
use crate::EmbeddedStore;
use crate::error::Fault;
use crate::rows::{Cell, RowChange, Table};
use crate::tenant::{Append, TenantHandle};
use async_trait::async_trait;
use context::{Access, Private, Read, Tenant, on};
use env::Timestamp;
use ids::{CallId, EventId, Id};
use money::Usd;
use sqlcipher::{Executor, OptionalExtension, params};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{
    Call, CallKind, CallOutcome, CallStatus, Commit, GroupBy, Mark, MeterState, StoreError, UsageQuery,
    UsageRow, UsageStore, WorkKind,
};

const fn kind_name(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Model => "model",
        CallKind::Service => "service",
    }
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

async fn append(
    handle: &Arc<TenantHandle>,
    row: RowChange,
    commit: Commit,
) -> Result<Vec<EventId>, StoreError> {
    if commit.claim.is_some() {
        // Whether a key is taken, only the tables can tell.
        return handle.write_events(commit, move |txn| txn.apply(row)).await;
    }
    let append = Append { rows: vec![row], events: commit.events, marks: commit.marks };
    Ok(handle.append(append).await?)
}

#[async_trait]
impl UsageStore for EmbeddedStore {
    async fn begin_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        commit: Commit,
    ) -> Result<Vec<EventId>, StoreError> {
        let mark = Mark::Open { kind: WorkKind::Call, id: call.id.to_bytes(), due: Some(call.lease_until) };
        let handle = self.handle(tenant).await?;
        append(&handle, row(call, None)?, commit.and_mark(mark)).await
    }

    async fn end_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let mark = Mark::Closed { kind: WorkKind::Call, id: call.id.to_bytes() };
        let handle = self.handle(tenant).await?;
        append(&handle, row(call, Some(&outcome))?, commit.and_mark(mark)).await.map(drop)
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
        hour_ago: Timestamp,
        month: Timestamp,
    ) -> Result<Private<'t, MeterState>, StoreError> {
        self.read_private(tenant, move |database, _| {
            let mut state = MeterState::default();
            for (call, outcome) in
                calls(&database.connection, hour_ago.min(month), Timestamp::from_millis(i64::MAX))?
            {
                let cached = outcome.as_ref().is_some_and(|outcome| outcome.cached);
                if call.started_at > hour_ago && !cached {
                    state.recent.push((call.kind, call.started_at));
                }
                let charged = outcome.filter(|outcome| outcome.status != CallStatus::Released);
                if let Some(outcome) = charged
                    && call.started_at >= month
                {
                    state.charged.push((call, outcome.cost));
                }
            }
            // However long ago they were begun.
            let mut open = database
                .connection
                .prepare_cached("SELECT body FROM call WHERE status = 'open' ORDER BY started_at, id")?;
            let rows = open.query_map([], |row| row.get::<_, String>(0))?;
            state.open = rows.map(|body| from_text(&body?)).collect::<Result<_, Fault>>()?;
            Ok(state)
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
            let mut groups: BTreeMap<Vec<Option<String>>, UsageRow> = BTreeMap::new();
            for (call, outcome) in calls(&database.connection, query.from, query.to)? {
                let group: Vec<_> = query.group_by.iter().map(|by| group_value(&call, *by)).collect();
                let row = groups.entry(group.clone()).or_insert_with(|| empty(group));
                add(row, &call, outcome.as_ref());
            }
            Ok(groups.into_values().collect())
        })
        .await
    }
}

fn calls(
    tables: &Executor,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Call, Option<CallOutcome>)>, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT body, outcome FROM call WHERE started_at >= ?1 AND started_at < ?2
         ORDER BY started_at, id",
    )?;
    let rows = select.query_map(params![from.millis(), to.millis()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
    })?;
    rows.map(|row| {
        let (body, outcome) = row?;
        Ok((from_text(&body)?, outcome.as_deref().map(from_text).transpose()?))
    })
    .collect()
}

fn group_value(call: &Call, by: GroupBy) -> Option<String> {
    match by {
        GroupBy::Hour => Some(call.started_at.hour().to_string()),
        GroupBy::Day => Some(call.started_at.day().to_string()),
        GroupBy::Model => (call.kind == CallKind::Model).then(|| call.target.clone()),
        GroupBy::Tool => (call.kind == CallKind::Service).then(|| call.target.clone()),
        GroupBy::Key => call.payer.key.map(|id| id.to_string()),
        GroupBy::Agent => call.payer.agent.map(|id| id.to_string()),
        GroupBy::Workflow => call.workflow.map(|id| id.to_string()),
    }
}

fn empty(group: Vec<Option<String>>) -> UsageRow {
    UsageRow {
        group,
        ai_calls: 0,
        api_calls: 0,
        input_tokens: 0,
        output_tokens: 0,
        cost_usd: Usd::ZERO,
        unpriced_calls: 0,
        cached_calls: 0,
        unknown_calls: 0,
    }
}

fn add(row: &mut UsageRow, call: &Call, outcome: Option<&CallOutcome>) {
    match call.kind {
        CallKind::Model => row.ai_calls += 1,
        CallKind::Service => row.api_calls += 1,
    }
    let Some(outcome) = outcome else { return };
    row.input_tokens += outcome.tokens.input();
    row.output_tokens += outcome.tokens.output();
    row.cost_usd = row.cost_usd.plus(outcome.cost);
    row.unpriced_calls += u64::from(outcome.unpriced);
    row.cached_calls += u64::from(outcome.cached);
    row.unknown_calls += u64::from(outcome.status == CallStatus::Unknown);
}
