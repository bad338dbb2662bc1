//! Usage: every call with its outcome, added up anew for each question.

use crate::MemoryStore;
use async_trait::async_trait;
use context::{Access, Private, Read, Tenant, on};
use env::Timestamp;
use ids::{CallId, EventId, Id};
use money::Usd;
use std::collections::BTreeMap;
use store::{
    Call, CallKind, CallOutcome, CallStatus, Commit, GroupBy, Mark, MeterState, StoreError, UsageQuery,
    UsageRow, UsageStore, WorkKind,
};

#[async_trait]
impl UsageStore for MemoryStore {
    async fn begin_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        commit: Commit,
    ) -> Result<Vec<EventId>, StoreError> {
        self.may_begin_calls().await?;
        let mark = Mark::Open { kind: WorkKind::Call, id: call.id.to_bytes(), due: Some(call.lease_until) };
        let mut state = self.state();
        let known = state.tenants.get_mut(tenant.id())?;
        let ((), ids) = known.commit(commit.and_mark(mark), self.env(), |tables| {
            tables.calls.insert(call.id, (call.clone(), None));
            Ok(())
        })?;
        Ok(ids)
    }

    async fn end_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let mark = Mark::Closed { kind: WorkKind::Call, id: call.id.to_bytes() };
        self.write(tenant, commit.and_mark(mark), |tables| {
            let known = tables.calls.get(&call.id).and_then(|(_, outcome)| outcome.as_ref());
            if known.is_none_or(|known| known.status == CallStatus::Unknown) {
                tables.calls.insert(call.id, (call.clone(), Some(outcome)));
            }
            Ok(())
        })
        .map(drop)
    }

    async fn call<'t>(
        &self,
        tenant: &Tenant<'t>,
        id: CallId,
    ) -> Result<Private<'t, (Call, bool)>, StoreError> {
        self.read(tenant, |known| {
            let (call, outcome) = known.tables.calls.get(&id).ok_or(StoreError::NotFound)?;
            Ok((call.clone(), outcome.is_none()))
        })
    }

    async fn meter_state<'t>(
        &self,
        tenant: &Tenant<'t>,
        hour_ago: Timestamp,
        month: Timestamp,
    ) -> Result<Private<'t, MeterState>, StoreError> {
        self.read(tenant, |known| {
            let mut calls: Vec<_> = known.tables.calls.values().collect();
            calls.sort_by_key(|(call, _)| (call.started_at, call.id));
            let mut state = MeterState::default();
            for (call, outcome) in calls {
                let cached = outcome.as_ref().is_some_and(|outcome| outcome.cached);
                if call.started_at > hour_ago && !cached {
                    state.recent.push((call.kind, call.started_at));
                }
                match outcome {
                    None => state.open.push(call.clone()),
                    Some(outcome) if call.started_at >= month && outcome.status != CallStatus::Released => {
                        state.charged.push((call.clone(), outcome.cost));
                    }
                    Some(_) => {}
                }
            }
            Ok(state)
        })
    }

    async fn stored<'t>(&self, tenant: &Tenant<'t>) -> Result<Private<'t, u64>, StoreError> {
        self.read(tenant, |known| Ok(known.tables.bytes()))
    }

    async fn usage<'t>(
        &self,
        access: &Access<'t, Read<on::Usage>>,
        query: &UsageQuery,
    ) -> Result<Private<'t, Vec<UsageRow>>, StoreError> {
        self.read(access.tenant(), |known| {
            let mut groups: BTreeMap<Vec<Option<String>>, Vec<_>> = BTreeMap::new();
            for (call, outcome) in known.tables.calls.values() {
                if (query.from..query.to).contains(&call.started_at) {
                    let group = query.group_by.iter().map(|by| value(call, *by)).collect();
                    groups.entry(group).or_default().push((call, outcome.as_ref()));
                }
            }
            Ok(groups.into_iter().map(|(group, calls)| row(group, &calls)).collect())
        })
    }
}

fn value(call: &Call, by: GroupBy) -> Option<String> {
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

fn row(group: Vec<Option<String>>, calls: &[(&Call, Option<&CallOutcome>)]) -> UsageRow {
    let of_kind = |kind| calls.iter().filter(|(call, _)| call.kind == kind).count() as u64;
    let outcomes = || calls.iter().filter_map(|(_, outcome)| *outcome);
    let count = |what: fn(&CallOutcome) -> bool| outcomes().filter(|outcome| what(outcome)).count() as u64;
    UsageRow {
        group,
        ai_calls: of_kind(CallKind::Model),
        api_calls: of_kind(CallKind::Service),
        input_tokens: outcomes().map(|outcome| outcome.tokens.input()).sum(),
        output_tokens: outcomes().map(|outcome| outcome.tokens.output()).sum(),
        cost_usd: outcomes().fold(Usd::ZERO, |sum, outcome| sum.plus(outcome.cost)),
        unpriced_calls: count(|outcome| outcome.unpriced),
        cached_calls: count(|outcome| outcome.cached),
        unknown_calls: count(|outcome| outcome.status == CallStatus::Unknown),
    }
}
