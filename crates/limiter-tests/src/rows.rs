//! Rows of calls and budgets as a store keeps them, without a store.

use async_trait::async_trait;
use context::{Access, Delete, Origin, Private, Read, Tenant, on};
use env::Timestamp;
use ids::{CallId, EventId, TenantId};
use limiter::PlannedCall;
use money::Usd;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use store::{
    Call, CallKind, CallOutcome, CallStatus, Commit, LookBack, MeterState, Object, ObjectScope, ObjectStore,
    Page, PageRequest, Payer, Placed, StoreError, UsageQuery, UsageRow, UsageStore,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Row = (TenantId, Call, Option<(CallStatus, Usd)>);

/// Rows of calls and budgets.
pub struct Rows {
    calls: Mutex<BTreeMap<CallId, Row>>,
    budgets: Mutex<BTreeMap<(TenantId, String), Object>>,
    /// Readers of calls pass one at a time, after they have read.
    gate: Arc<Semaphore>,
    waiting: AtomicUsize,
    readings: AtomicUsize,
    failing: AtomicBool,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            budgets: Mutex::default(),
            gate: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            readings: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
        }
    }
}

impl Rows {
    pub fn begin(&self, tenant: TenantId, planned: &PlannedCall) {
        let call = Call {
            id: planned.id,
            kind: CallKind::Model,
            target: "model".into(),
            endpoint: None,
            payer: Payer::default(),
            workflow: None,
            run: None,
            started_at: planned.at,
            reserved: planned.worst_case.unwrap_or_default(),
            lease_until: planned.lease_until,
            intent: None,
        };
        self.calls.lock().unwrap().insert(call.id, (tenant, call, None));
    }

    pub fn end(&self, tenant: TenantId, call: CallId, status: CallStatus, cost: Usd) {
        let mut calls = self.calls.lock().unwrap();
        let row = calls.get_mut(&call).unwrap();
        assert_eq!(row.0, tenant);
        row.2 = Some((status, cost));
    }

    pub fn spent(&self, tenant: TenantId) -> Usd {
        let calls = self.calls.lock().unwrap();
        calls.values().filter(|row| row.0 == tenant).filter_map(|row| row.2).map(|(_, cost)| cost).sum()
    }

    pub fn put_budget(&self, tenant: TenantId, scope: &str, id: &str, per: &str, usd: &str) {
        let key = format!("{scope}/{id}/{per}");
        let body = json!({ "scope": scope, "id": id, "per": per, "usd": usd });
        let object = Object { id: key.clone(), owner: None, body, version: 1 };
        self.budgets.lock().unwrap().insert((tenant, key), object);
    }

    pub fn remove_budgets(&self, tenant: TenantId) {
        self.budgets.lock().unwrap().retain(|(owner, _), _| *owner != tenant);
    }

    pub fn remove_calls(&self, tenant: TenantId) {
        self.calls.lock().unwrap().retain(|_, row| row.0 != tenant);
    }

    /// Lets no reader go on until the permit is dropped.
    pub fn hold_readers(&self) -> OwnedSemaphorePermit {
        self.gate.clone().try_acquire_owned().unwrap()
    }

    pub async fn reader_waits(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    pub fn readings(&self) -> usize {
        self.readings.load(Ordering::SeqCst)
    }

    /// Every charge is told call by call here, as of calls that have just ended.
    fn state(&self, tenant: TenantId, back: LookBack) -> MeterState {
        let mut state = MeterState::default();
        let calls = self.calls.lock().unwrap();
        for (_, call, outcome) in calls.values().filter(|row| row.0 == tenant) {
            if call.started_at > back.uses {
                state.recent.push((call.kind, call.started_at, 1));
            }
            match outcome {
                None => state.open.push(call.clone()),
                Some((CallStatus::Released, _)) => {}
                Some((_, cost)) if call.started_at >= back.charges => {
                    state.charged.push((call.clone(), *cost))
                }
                Some(_) => {}
            }
        }
        state
    }
}

#[async_trait]
impl UsageStore for Rows {
    async fn begin_call(&self, _: &Tenant<'_>, _: &Call, _: Commit) -> Result<Vec<EventId>, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn place_outcome(
        &self,
        _: &Tenant<'_>,
        _: &Call,
        _: CallOutcome,
        _: Commit,
    ) -> Result<Placed, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn call<'t>(&self, _: &Tenant<'t>, _: CallId) -> Result<Private<'t, (Call, bool)>, StoreError> {
        Err(StoreError::NotFound)
    }

    async fn meter_state<'t>(
        &self,
        tenant: &Tenant<'t>,
        back: LookBack,
    ) -> Result<Private<'t, MeterState>, StoreError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable);
        }
        self.readings.fetch_add(1, Ordering::SeqCst);
        let state = self.state(tenant.id(), back);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.acquire().await);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        Ok(Private::arrived(tenant, Origin::authenticated(tenant.id()), state))
    }

    async fn stored<'t>(&self, _: &Tenant<'t>) -> Result<Private<'t, u64>, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn usage<'t>(
        &self,
        _: &Access<'t, Read<on::Usage>>,
        _: &UsageQuery,
    ) -> Result<Private<'t, Vec<UsageRow>>, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn forget_calls(
        &self,
        _: &Access<'_, Delete<on::Usage>>,
        _: Timestamp,
        _: Commit,
    ) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable)
    }
}

#[async_trait]
impl ObjectStore for Rows {
    async fn read_object<'t>(&self, _: ObjectScope<'t>, _: &str) -> Result<Private<'t, Object>, StoreError> {
        Err(StoreError::NotFound)
    }

    async fn list_objects<'t>(
        &self,
        scope: ObjectScope<'t>,
        _: &PageRequest,
    ) -> Result<Private<'t, Page<Object>>, StoreError> {
        let tenant = scope.tenant();
        let budgets = self.budgets.lock().unwrap();
        let data = budgets.iter().filter(|((owner, _), _)| *owner == tenant.id());
        let page = Page { data: data.map(|(_, object)| object.clone()).collect(), next_cursor: None };
        Ok(Private::arrived(tenant, Origin::authenticated(tenant.id()), page))
    }

    async fn write_object(
        &self,
        _: ObjectScope<'_>,
        _: Object,
        _: Option<u64>,
        _: Commit,
    ) -> Result<u64, StoreError> {
        Err(StoreError::Unavailable)
    }

    async fn remove_object(
        &self,
        _: ObjectScope<'_>,
        _: &str,
        _: Option<u64>,
        _: Commit,
    ) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }
}
