//! Tenants' stores, over the network.

use super::{NodeStore, over_the_network};
use async_trait::async_trait;
use audit::event::Draft;
use context::{Access, AuditUnavailable, Create, Delete, Private, Read, ReadContent, Tenant, Update, on};
use env::Timestamp;
use ids::{CallId, EventId, RecordId, RunId, Slug, TenantId, WorkflowId};
use secret::SecretBytes;
use serde_json::Value;
use store::{
    AuditEvent, AuditQuery, AuditTrail as _, Call, CallOutcome, CollectionSettings, Commit, Erasure,
    Happenings, IdempotencyClaim, InclusionProof, KeyPurpose, LookBack, MeterState, Object, ObjectScope,
    Page, PageRequest, PendingWork, Placed, Record, RecordChange, RecordQuery, RecordStore, Remembered, Run,
    RunEvent, RunStatus, RunStore, RunUpdate, StepRow, StoreError, StoredRun, UnknownDelivery, UsageQuery,
    UsageRow, UsageStore, WorkKind,
};

over_the_network! { store::AuditTrail {
    fn append_events(tenant: &Tenant<'_>, events: Vec<Draft>) -> Vec<EventId>;
    fn events<'t>(
        access: &Access<'t, Read<on::Audit>>, query: &AuditQuery, page: &PageRequest,
    ) -> Private<'t, Page<AuditEvent>>;
    fn checkpoint<'t>(access: &Access<'t, Read<on::Audit>>) -> Private<'t, String>;
    fn verifier_key<'t>(access: &Access<'t, Read<on::Audit>>) -> Private<'t, String>;
    fn prove_inclusion<'t>(
        access: &Access<'t, Read<on::Audit>>, index: u64,
    ) -> Private<'t, InclusionProof>;
    fn prove_consistency<'t>(
        access: &Access<'t, Read<on::Audit>>, size: u64,
    ) -> Private<'t, (Vec<[u8; 32]>, String)>;
    fn leaves<'t>(
        access: &Access<'t, Read<on::Audit>>, from: u64, limit: u32,
    ) -> Private<'t, Vec<Vec<u8>>>;
    fn happened<'t>(access: &Access<'t, Read<on::Audit>>, from: Option<u64>) -> Private<'t, Happenings>;
    fn reconfigured<'t>(
        access: &Access<'t, Read<on::Account>>, from: Option<u64>,
    ) -> Private<'t, Happenings>;
    fn checkpoint_with_size<'t>(access: &Access<'t, Read<on::Audit>>) -> Private<'t, (u64, String)>;
    fn erase_disclosures(
        access: &Access<'_, Delete<on::Audit>>, erasure: &Erasure, commit: Commit,
    ) -> u64;
} }

over_the_network! { store::IdempotencyStore {
    fn remembered<'t>(
        tenant: &Tenant<'t>, key: &[u8; 32], now: Timestamp,
    ) -> Option<Private<'t, Remembered>>;
    fn remember(tenant: &Tenant<'_>, claim: &IdempotencyClaim, status: u16, body: Vec<u8>) -> ();
    fn give_back(tenant: &Tenant<'_>, claim: &IdempotencyClaim) -> ();
} }

over_the_network! { store::ObjectStore {
    fn read_object<'t>(scope: ObjectScope<'t>, id: &str) -> Private<'t, Object>;
    fn list_objects<'t>(scope: ObjectScope<'t>, page: &PageRequest) -> Private<'t, Page<Object>>;
    fn write_object(
        scope: ObjectScope<'_>, object: Object, expected: Option<u64>, commit: Commit,
    ) -> u64;
    fn remove_object(scope: ObjectScope<'_>, id: &str, expected: Option<u64>, commit: Commit) -> ();
} }

over_the_network! { store::TenantKeyring {
    fn key(tenant: &Tenant<'_>, purpose: KeyPurpose) -> SecretBytes<32>;
} }

over_the_network! { store::WorkIndex {
    fn pending(kind: WorkKind) -> Vec<PendingWork>;
    fn tenants_at_rest(after: Option<TenantId>, limit: u32) -> Vec<TenantId>;
} }

#[async_trait]
impl context::AuditLog for NodeStore {
    async fn append(&self, tenant: &Tenant<'_>, draft: Draft) -> Result<(), AuditUnavailable> {
        self.append_events(tenant, vec![draft]).await.map(drop).map_err(|_| AuditUnavailable)
    }
}

/// As [`over_the_network`] has it, and whoever watches is told what was written under which lease.
macro_rules! watched {
    ($self:ident, $tenant:expr, $what:literal, $work:expr) => {{
        let tenant = $tenant;
        $self
            .over($what, async {
                let written = $work.await;
                let refused = matches!(written, Err(StoreError::LeaseLost));
                $self.link.world.watch.wrote((tenant.id(), tenant.lease()), $what, refused);
                written
            })
            .await
    }};
}

#[async_trait]
impl RecordStore for NodeStore {
    async fn create_record<'t>(
        &self,
        access: &Access<'t, Create<on::Record>>,
        record: Record,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError> {
        watched!(self, access.tenant(), "create_record", self.truth.create_record(access, record, commit))
    }

    async fn record<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
        id: RecordId,
    ) -> Result<Private<'t, Record>, StoreError> {
        self.over("record", self.truth.record(access, collection, id)).await
    }

    async fn records<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        query: &RecordQuery,
    ) -> Result<Private<'t, Page<Record>>, StoreError> {
        self.over("records", self.truth.records(access, query)).await
    }

    async fn change_record<'t>(
        &self,
        access: &Access<'t, Update<on::Record>>,
        collection: &Slug,
        id: RecordId,
        change: RecordChange,
        expected: Option<u64>,
        now: Timestamp,
        commit: Commit,
    ) -> Result<Private<'t, Record>, StoreError> {
        let work = self.truth.change_record(access, collection, id, change, expected, now, commit);
        watched!(self, access.tenant(), "change_record", work)
    }

    async fn delete_record<'t>(
        &self,
        access: &Access<'t, Delete<on::Record>>,
        collection: &Slug,
        id: RecordId,
        expected: Option<u64>,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let work = self.truth.delete_record(access, collection, id, expected, commit);
        watched!(self, access.tenant(), "delete_record", work)
    }

    async fn declare_collection(
        &self,
        access: &Access<'_, Update<on::Record>>,
        collection: &Slug,
        settings: CollectionSettings,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let work = self.truth.declare_collection(access, collection, settings, commit);
        self.over("declare_collection", work).await
    }

    async fn collection<'t>(
        &self,
        access: &Access<'t, Read<on::Record>>,
        collection: &Slug,
    ) -> Result<Private<'t, CollectionSettings>, StoreError> {
        self.over("collection", self.truth.collection(access, collection)).await
    }
}

#[async_trait]
impl RunStore for NodeStore {
    async fn create_run(
        &self,
        access: &Access<'_, Create<on::Run>>,
        run: StoredRun,
        delivery: Option<String>,
        commit: Commit,
    ) -> Result<UnknownDelivery, StoreError> {
        self.over("create_run", self.truth.create_run(access, run, delivery, commit)).await
    }

    async fn room(&self, access: &Access<'_, Update<on::Run>>) -> Result<Option<u64>, StoreError> {
        self.over("room", self.truth.room(access)).await
    }

    async fn move_run(
        &self,
        access: &Access<'_, Update<on::Run>>,
        update: RunUpdate,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let (run, status) = (update.run.id, update.run.status);
        let done = update.steps.iter().filter(|step| step.status == "succeeded");
        let done: Vec<_> = done.map(|step| step.node.clone()).collect();
        let work = async {
            self.truth.move_run(access, update, commit).await?;
            self.link.world.note(format_args!("  {run} is {} with {done:?}", status.as_str()));
            done.iter().for_each(|node| self.link.world.watch.succeeded(run, node));
            Ok::<_, StoreError>(())
        };
        watched!(self, access.tenant(), "move_run", work)
    }

    async fn load_run<'t>(
        &self,
        access: &Access<'t, Update<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (StoredRun, Vec<StepRow>)>, StoreError> {
        self.over("load_run", self.truth.load_run(access, id)).await
    }

    async fn run<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Run>, StoreError> {
        self.over("run", self.truth.run(access, id)).await
    }

    async fn steps<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, Vec<StepRow>>, StoreError> {
        self.over("steps", self.truth.steps(access, id)).await
    }

    async fn steps_with_content<'t>(
        &self,
        access: &Access<'t, ReadContent<on::Run>>,
        id: RunId,
    ) -> Result<Private<'t, (Value, Vec<StepRow>)>, StoreError> {
        self.over("steps_with_content", self.truth.steps_with_content(access, id)).await
    }

    async fn run_events<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        id: RunId,
        from: u64,
        limit: u32,
    ) -> Result<Private<'t, Vec<RunEvent>>, StoreError> {
        self.over("run_events", self.truth.run_events(access, id, from, limit)).await
    }

    async fn runs<'t>(
        &self,
        access: &Access<'t, Read<on::Run>>,
        workflow: Option<WorkflowId>,
        status: Option<RunStatus>,
        page: &PageRequest,
    ) -> Result<Private<'t, Page<Run>>, StoreError> {
        self.over("runs", self.truth.runs(access, workflow, status, page)).await
    }

    async fn forgettable_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        self.over("forgettable_runs", self.truth.forgettable_runs(access, before)).await
    }

    async fn forget_runs(
        &self,
        access: &Access<'_, Delete<on::Run>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        self.over("forget_runs", self.truth.forget_runs(access, before, commit)).await
    }
}

#[async_trait]
impl UsageStore for NodeStore {
    async fn begin_call(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        commit: Commit,
    ) -> Result<Vec<EventId>, StoreError> {
        let work = async {
            let ids = self.truth.begin_call(tenant, call, commit).await?;
            self.link.world.watch.charged(tenant.id(), call.id, call.reserved);
            Ok::<_, StoreError>(ids)
        };
        watched!(self, tenant, "begin_call", work)
    }

    async fn place_outcome(
        &self,
        tenant: &Tenant<'_>,
        call: &Call,
        outcome: CallOutcome,
        commit: Commit,
    ) -> Result<Placed, StoreError> {
        self.over("place_outcome", async {
            let cost = outcome.cost;
            let placed = self.truth.place_outcome(tenant, call, outcome, commit).await?;
            self.link.world.watch.charged(tenant.id(), call.id, cost);
            Ok(placed)
        })
        .await
    }

    async fn call<'t>(
        &self,
        tenant: &Tenant<'t>,
        id: CallId,
    ) -> Result<Private<'t, (Call, bool)>, StoreError> {
        self.over("call", UsageStore::call(&self.truth, tenant, id)).await
    }

    async fn meter_state<'t>(
        &self,
        tenant: &Tenant<'t>,
        back: LookBack,
    ) -> Result<Private<'t, MeterState>, StoreError> {
        self.over("meter_state", self.truth.meter_state(tenant, back)).await
    }

    async fn stored<'t>(&self, tenant: &Tenant<'t>) -> Result<Private<'t, u64>, StoreError> {
        self.over("stored", self.truth.stored(tenant)).await
    }

    async fn usage<'t>(
        &self,
        access: &Access<'t, Read<on::Usage>>,
        query: &UsageQuery,
    ) -> Result<Private<'t, Vec<UsageRow>>, StoreError> {
        self.over("usage", self.truth.usage(access, query)).await
    }

    async fn forget_calls(
        &self,
        access: &Access<'_, Delete<on::Usage>>,
        before: Timestamp,
        commit: Commit,
    ) -> Result<u64, StoreError> {
        self.over("forget_calls", self.truth.forget_calls(access, before, commit)).await
    }
}
