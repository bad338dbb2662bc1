//! Usage: every call with its outcome, added up anew for each question.

use crate::MemoryStore;
use async_trait::async_trait;
use context::{Access, Delete, Private, Read, Tenant, on};
use env::Timestamp;
use ids::{CallId, EventId, Id};
use money::Usd;
use std::collections::BTreeMap;
use store::{
    Call, CallKind, CallOutcome, CallStatus, Commit, GroupBy, LookBack, Mark, MeterState, Placed, Spent,
    StoreError, UsageQuery, UsageRow, UsageStore, WorkKind,
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
        self.permit(tenant)?;
        let mark = Mark::Open { kind: WorkKind::Call, id: call.id.to_bytes(), due: Some(call.lease_until) };
        let mut state = self.state();
        let known = state.tenants.get_mut(tenant.id())?;
        let ((), ids) = known.commit(commit.and_mark(mark), self.env(), |tables| {
            if tables.calls.get(&call.id).is_none_or(|(_, outcome)| outcome.is_none()) {
                tables.calls.insert(call.id, (call.clone(), None));
            }
            Ok(())
        })?;
        Ok(ids)
    }

    async fn place_outcome(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<Placed, StoreError> {
        let mark = Mark::Closed { kind: WorkKind::Call, id: call.id.to_bytes() };
        self.write(tenant, commit.and_mark(mark), |tables| {
            let known = tables.calls.get(&call.id).and_then(|(_, outcome)| outcome.as_ref());
            if known.is_none_or(|known| known.status == CallStatus::Unknown) {
                tables.calls.insert(call.id, (call.clone(), Some(outcome)));
            }
            Ok(())
        })
        .map(|_| Placed::written_already())
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
        back: LookBack,
    ) -> Result<Private<'t, MeterState>, StoreError> {
        self.read(tenant, |known| {
            let mut calls: Vec<_> = known.tables.calls.values().collect();
            calls.sort_by_key(|(call, _)| (call.started_at, call.id));
            let mut state = MeterState::default();
            let (mut recent, mut spent) = (BTreeMap::new(), BTreeMap::new());
            for (call, outcome) in calls {
                let cached = outcome.as_ref().is_some_and(|outcome| outcome.cached);
                if call.started_at > back.uses && !cached {
                    let step = call.started_at.millis() / STEP_MILLIS * STEP_MILLIS;
                    *recent.entry((step, call.kind == CallKind::Service)).or_insert(0) += 1;
                }
                match outcome {
                    None => state.open.push(call.clone()),
                    Some(outcome)
                        if call.started_at >= back.charges && outcome.status != CallStatus::Released =>
                    {
                        if outcome.finished_at > back.moments {
                            state.charged.push((call.clone(), outcome.cost));
                        } else {
                            let of = (call.started_at.hour(), call.payer, call.workflow);
                            let sum = spent.entry(of).or_insert(Usd::ZERO);
                            *sum = sum.plus(outcome.cost);
                        }
                    }
                    Some(_) => {}
                }
            }
            state.recent = recent
                .into_iter()
                .map(|((step, service), count)| {
                    let kind = if service { CallKind::Service } else { CallKind::Model };
                    (kind, Timestamp::from_millis(step), count)
                })
                .collect();
            state.spent = spent
                .into_iter()
                .filter(|(_, cost)| !cost.is_zero())
                .map(|((hour, payer, workflow), cost)| Spent { hour, payer, workflow, cost })
                .collect();
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

    async fn forget_calls(
        &self,
        access: &Access<'_, Delete<on::Usage>>,
        _: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        // The sums are made of the calls themselves here, so that these stay.
        self.write(access.tenant(), commit, |_| Ok(())).map(|_| 0)
    }
}

/// The steps in which recent uses are told.
const STEP_MILLIS: i64 = 10_000;

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
        cost_usd: outcomes()
            .filter(|outcome| outcome.status != CallStatus::Released)
            .fold(Usd::ZERO, |sum, outcome| sum.plus(outcome.cost)),
        unpriced_calls: count(|outcome| outcome.unpriced),
        cached_calls: count(|outcome| outcome.cached),
        unknown_calls: count(|outcome| outcome.status == CallStatus::Unknown),
    }
}
