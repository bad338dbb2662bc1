//! Usage: calls from their reservation to their settlement, and what they came to by the hour.

use crate::PostgresStore;
use crate::error::Fault;
use crate::home::{OWN, Session, params};
use crate::tenant::{Addition, TenantHandle, Txn, call, ended, kind_name, totals};
use async_trait::async_trait;
use context::{Access, Delete, Private, Read, Tenant, on};
use env::Timestamp;
use ids::{CallId, EventId, Id as _};
use money::Usd;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{
    Call, CallKind, CallOutcome, CallStatus, Commit, LookBack, Mark, MeterState, Payer, Placed, Spent,
    StoreError, UsageQuery, UsageRow, UsageStore, WorkKind,
};
use store_core::report::{Facts, Report};
use store_core::totals::Totals;
use tokio_postgres::Row;

/// How many calls are forgotten at once.
const FORGET_AT_ONCE: i64 = 500;
/// Within how many milliseconds uses are counted together.
const STEP_MILLIS: i64 = 10_000;
const HOUR: Duration = Duration::from_secs(3600);

fn kind_of(name: &str) -> Result<CallKind, Fault> {
    let known = [CallKind::Model, CallKind::Service].into_iter().find(|kind| kind_name(*kind) == name);
    known.ok_or(Fault::Damaged("a call's kind"))
}

async fn open_calls(
    handle: &TenantHandle,
    session: &Session,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Call>, Fault> {
    let select = "SELECT id, body FROM call WHERE status = 'open' AND started_at >= $1 AND started_at < $2
        ORDER BY started_at, id";
    let rows = session.query_typed(select, params![from.millis() => INT8, to.millis() => INT8]).await?;
    rows.iter().map(|row| call(handle, row.try_get(0)?, row.try_get(1)?)).collect()
}

fn id<I: std::str::FromStr>(text: &str) -> Result<Option<I>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Fault::Damaged("a sum of usage"))
}

/// What was spent, but for what is told of call by call.
async fn spent(session: &Session, since: Timestamp, apart: &[(Call, Usd)]) -> Result<Vec<Spent>, Fault> {
    let select = "SELECT hour, key, agent, workflow, totals FROM usage_hour WHERE hour >= $1";
    let mut sums = BTreeMap::new();
    for row in session.query_typed(select, params![since.millis() => INT8]).await? {
        let payer = Payer { key: id(row.try_get(1)?)?, agent: id(row.try_get(2)?)? };
        let of = (Timestamp::from_millis(row.try_get(0)?), payer, id(row.try_get(3)?)?);
        let sum = sums.entry(of).or_insert(Usd::ZERO);
        *sum = sum.plus(totals(row.try_get(4)?)?.cost);
    }
    for (call, cost) in apart {
        if let Some(sum) = sums.get_mut(&(call.started_at.hour(), call.payer, call.workflow)) {
            *sum = sum.minus(*cost);
        }
    }
    let spent = sums.into_iter().filter(|(_, cost)| !cost.is_zero());
    Ok(spent.map(|((hour, payer, workflow), cost)| Spent { hour, payer, workflow, cost }).collect())
}

async fn meter_state(handle: &TenantHandle, session: &Session, back: LookBack) -> Result<MeterState, Fault> {
    let recent = "SELECT kind, started_at / $2 * $2 AS step, count(*) FROM call
        WHERE started_at > $1 AND NOT cached GROUP BY step, kind ORDER BY step, kind";
    let rows = session.query_typed(recent, params![back.uses.millis() => INT8, STEP_MILLIS => INT8]).await?;
    let step = |row: &Row| {
        let count = row.try_get::<_, i64>(2)?.cast_unsigned();
        Ok((kind_of(row.try_get(0)?)?, Timestamp::from_millis(row.try_get(1)?), count))
    };
    let recent = rows.iter().map(step).collect::<Result<_, Fault>>()?;
    let charged = "SELECT id, body, outcome FROM call WHERE finished_at > $1 AND started_at >= $2
        AND status <> 'released' ORDER BY started_at, id";
    let values = params![back.moments.millis() => INT8, back.charges.millis() => INT8];
    let charged = ended(handle, &session.query_typed(charged, values).await?)?;
    let charged: Vec<_> = charged.into_iter().map(|(call, outcome)| (call, outcome.cost)).collect();
    let spent = spent(session, back.charges, &charged).await?;
    // However long ago they were begun.
    let (first, last) = (Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX));
    let open = open_calls(handle, session, first, last).await?;
    Ok(MeterState { recent, open, charged, spent })
}

async fn add_hours(
    session: &Session,
    report: &mut Report<'_>,
    from: Timestamp,
    to: Timestamp,
) -> Result<(), Fault> {
    let select = "SELECT hour, kind, target, key, agent, workflow, totals FROM usage_hour
        WHERE hour >= $1 AND hour < $2";
    for row in session.query_typed(select, params![from.millis() => INT8, to.millis() => INT8]).await? {
        let text = |at| Ok::<_, Fault>(Some(row.try_get::<_, String>(at)?).filter(|text| !text.is_empty()));
        let facts = Facts {
            at: Timestamp::from_millis(row.try_get(0)?),
            kind: kind_of(row.try_get(1)?)?,
            target: row.try_get(2)?,
            key: text(3)?,
            agent: text(4)?,
            workflow: text(5)?,
        };
        report.add(&facts, &totals(row.try_get(6)?)?);
    }
    Ok(())
}

async fn report(
    handle: &TenantHandle,
    session: &Session,
    query: &UsageQuery,
) -> Result<Vec<UsageRow>, Fault> {
    let mut report = Report::by(&query.group_by);
    let (from, to) = (query.from, query.to.max(query.from));
    let first = if from.hour() == from { from } else { from.hour().plus(HOUR) };
    let (first, last) = (first.min(to), to.hour());
    let edges = if first < last {
        add_hours(session, &mut report, first, last).await?;
        vec![(from, first), (last, to)]
    } else {
        vec![(from, to)]
    };
    for (from, to) in edges {
        let select = "SELECT id, body, outcome FROM call
            WHERE started_at >= $1 AND started_at < $2 AND outcome IS NOT NULL";
        let rows = session.query_typed(select, params![from.millis() => INT8, to.millis() => INT8]).await?;
        for (call, outcome) in ended(handle, &rows)? {
            report.add(&Facts::of(&call), &Totals::of(&outcome));
        }
    }
    for call in open_calls(handle, session, from, to).await? {
        report.add(&Facts::of(&call), &Totals { calls: 1, ..Totals::default() });
    }
    Ok(report.rows())
}

#[async_trait]
impl UsageStore for PostgresStore {
    async fn begin_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        commit: Commit,
    ) -> Result<Vec<EventId>, StoreError> {
        let mark = Mark::Open { kind: WorkKind::Call, id: call.id.to_bytes(), due: Some(call.lease_until) };
        let (handle, call) = (self.handle(tenant.id()).await?, call.clone());
        Ok(handle.add(tenant.lease(), commit.and_mark(mark), Addition::Begun(Box::new(call))).await?.ids)
    }

    async fn place_outcome(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<Placed, StoreError> {
        let mark = Mark::Closed { kind: WorkKind::Call, id: call.id.to_bytes() };
        let (handle, call) = (self.handle(tenant.id()).await?, call.clone());
        let written = handle.place(commit.and_mark(mark), Addition::Ended(Box::new((call, outcome))))?;
        Ok(Placed::until(async move { Ok(written.await.map(drop)?) }))
    }

    async fn call<'t>(
        &self,
        tenant: &Tenant<'t>,
        id: CallId,
    ) -> Result<Private<'t, (Call, bool)>, StoreError> {
        let (id, select) = (id.to_string(), "SELECT body, status FROM call WHERE id = $1");
        self.read(tenant, select, params![id => TEXT], |handle, rows| {
            let row = rows.first().ok_or(Fault::Answer(StoreError::NotFound))?;
            Ok((call(handle, &id, row.try_get(0)?)?, row.try_get::<_, &str>(1)? == CallStatus::Open.as_str()))
        })
        .await
    }

    async fn meter_state<'t>(
        &self,
        tenant: &Tenant<'t>,
        back: LookBack,
    ) -> Result<Private<'t, MeterState>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            meter_state(&handle, &session, back).await
        };
        self.read_with(tenant, read).await
    }

    async fn stored<'t>(&self, tenant: &Tenant<'t>) -> Result<Private<'t, u64>, StoreError> {
        self.read(tenant, "SELECT stored_bytes FROM log_head", &[], |_, rows| {
            let stored: i64 = rows.first().ok_or(Fault::KeyGone)?.try_get(0)?;
            Ok(stored.max(0).cast_unsigned())
        })
        .await
    }

    async fn usage<'t>(
        &self,
        access: &Access<'t, Read<on::Usage>>,
        query: &UsageQuery,
    ) -> Result<Private<'t, Vec<UsageRow>>, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            report(&handle, &session, query).await
        };
        self.read_with(access.tenant(), read).await
    }

    async fn forget_calls(
        &self,
        access: &Access<'_, Delete<on::Usage>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        let handle = self.handle(access.tenant().id()).await?;
        let work = move |txn: Txn| async move {
            let forget = format!(
                "DELETE FROM call WHERE {OWN} AND id IN (SELECT id FROM call
                    WHERE {OWN} AND started_at < $1 AND status <> 'open' ORDER BY started_at LIMIT $2)"
            );
            let values = params![before.millis() => INT8, FORGET_AT_ONCE => INT8];
            super::some_forgotten(txn.execute_typed(&forget, values).await?)
        };
        super::or_none(handle.write(commit, work).await.map(|written| written.value))
    }
}
