//! The platform store, over the network.

use super::{NodeStore, over_the_network};
use async_trait::async_trait;
use audit::event::Draft;
use audit::evidence::Findings;
use context::{
    CredentialIndex, IndexEntry, IndexUnavailable, IndexedSubject, KeyedHash, Operator, Tenant,
    TenantStanding,
};
use env::Timestamp;
use ids::{BackupId, EventId, KeyId, Slug, TemplateId, TenantId};
use metering::plan::Plan;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use store::{
    AuditEvent, AuditQuery, Carrier, Endpoint, Endpoints, ErasureReceipt, IdempotencyClaim, InclusionProof,
    Isolation, NewTenant, OperatorKeyRow, Page, PageRequest, PlatformStore, Remembered, RestoreOptions,
    Restored, StoreError, Template, TenantMove, TenantRow, VerifyGrantRow, WholeBackup,
};

over_the_network! { store::OperatorStore {
    fn add_first_operator(hash: KeyedHash, id: KeyId, name: &str) -> bool;
    fn add_operator_key(operator: &Operator, hash: KeyedHash, row: OperatorKeyRow) -> ();
    fn operator_keys(operator: &Operator) -> Vec<OperatorKeyRow>;
    fn revoke_operator_key(operator: &Operator, id: KeyId) -> bool;
    fn append_operator_events(operator: &Operator, events: Vec<Draft>) -> Vec<EventId>;
    fn append_outsiders_events(events: Vec<Draft>) -> ();
    fn operator_events(operator: &Operator, query: &AuditQuery, page: &PageRequest) -> Page<AuditEvent>;
    fn operator_remembered(operator: &Operator, key: &[u8; 32], now: Timestamp) -> Option<Remembered>;
    fn claim_for_operator(operator: &Operator, claim: &IdempotencyClaim, now: Timestamp) -> ();
    fn remember_for_operator(
        operator: &Operator, claim: &IdempotencyClaim, status: u16, body: Vec<u8>,
    ) -> ();
    fn release_for_operator(operator: &Operator, claim: &IdempotencyClaim) -> ();
} }

over_the_network! { store::OperatorLog {
    fn operator_log_key() -> String;
    fn operator_checkpoint() -> (u64, String);
    fn prove_operator_event(operator: &Operator, index: u64, size: Option<u64>) -> InclusionProof;
    fn prove_operator_growth(earlier: u64, size: Option<u64>) -> (Vec<[u8; 32]>, String);
    fn sign_findings(operator: &Operator, findings: &Findings) -> String;
} }

over_the_network! { store::VerifyGrants {
    fn add_verify_grant(operator: &Operator, hash: KeyedHash, row: VerifyGrantRow) -> ();
    fn verify_grants(operator: &Operator) -> Vec<VerifyGrantRow>;
    fn revoke_verify_grant(operator: &Operator, id: KeyId) -> ();
    fn throwaways(operator: &Operator, grant: KeyId) -> Vec<(TenantId, u32)>;
} }

over_the_network! { store::WholeBackups {
    fn back_up_all(operator: &Operator, last: &Path, carrier: &mut dyn Carrier) -> WholeBackup;
} }

over_the_network! { store::TenantLifecycle {
    fn backup(operator: &Operator, tenant: TenantId, target: &Path) -> BackupId;
    fn restore(
        operator: &Operator, tenant: TenantId, source: PathBuf, options: RestoreOptions,
    ) -> Restored;
    fn change_data_key(operator: &Operator, tenant: TenantId) -> ();
    fn erase(operator: &Operator, tenant: TenantId) -> ErasureReceipt;
    fn move_tenant(operator: &Operator, tenant: TenantId, to: Isolation) -> TenantMove;
    fn export_tenant(operator: &Operator, tenant: TenantId, target: &Path) -> store::Exported;
    fn import_tenant(operator: &Operator, tenant: TenantId, source: PathBuf, isolation: Option<Isolation>)
        -> store::Exported;
    fn tenant_move(operator: &Operator, tenant: TenantId) -> Option<TenantMove>;
    fn stored_bytes(operator: &Operator, tenant: TenantId) -> u64;
} }

#[async_trait]
impl PlatformStore for NodeStore {
    fn isolations(&self) -> &'static [Isolation] {
        self.truth.isolations()
    }

    async fn create_tenant(&self, operator: &Operator, tenant: NewTenant) -> Result<(), StoreError> {
        self.over("create_tenant", self.truth.create_tenant(operator, tenant)).await
    }

    async fn tenant(&self, operator: &Operator, id: TenantId) -> Result<TenantRow, StoreError> {
        self.over("tenant", self.truth.tenant(operator, id)).await
    }

    async fn tenants(
        &self,
        operator: &Operator,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRow>, StoreError> {
        self.over("tenants", self.truth.tenants(operator, after, limit)).await
    }

    async fn update_tenant(&self, operator: &Operator, row: TenantRow) -> Result<TenantRow, StoreError> {
        self.over("update_tenant", self.truth.update_tenant(operator, row)).await
    }

    async fn plan(&self, name: &Slug) -> Result<Plan, StoreError> {
        self.over("plan", self.truth.plan(name)).await
    }

    async fn put_plan(&self, operator: &Operator, plan: Plan) -> Result<(), StoreError> {
        self.over("put_plan", self.truth.put_plan(operator, plan)).await
    }

    async fn publish_template(
        &self,
        operator: &Operator,
        id: TemplateId,
        name: &Slug,
        definition: String,
        now: Timestamp,
    ) -> Result<Template, StoreError> {
        let work = self.truth.publish_template(operator, id, name, definition, now);
        self.over("publish_template", work).await
    }

    async fn withdraw_template(&self, operator: &Operator, name: &Slug) -> Result<(), StoreError> {
        self.over("withdraw_template", self.truth.withdraw_template(operator, name)).await
    }

    async fn template(&self, name: &Slug, version: Option<u32>) -> Result<Template, StoreError> {
        self.over("template", self.truth.template(name, version)).await
    }

    async fn templates(&self, after: Option<&Slug>, limit: u32) -> Result<Vec<Template>, StoreError> {
        self.over("templates", self.truth.templates(after, limit)).await
    }

    async fn endpoints(&self) -> Result<Endpoints, StoreError> {
        self.over("endpoints", self.truth.endpoints()).await
    }

    async fn put_endpoint(&self, operator: &Operator, endpoint: Endpoint) -> Result<(), StoreError> {
        self.over("put_endpoint", self.truth.put_endpoint(operator, endpoint)).await
    }

    async fn index_credential(
        &self,
        tenant: &Tenant<'_>,
        hash: KeyedHash,
        subject: IndexedSubject,
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let work = self.truth.index_credential(tenant, hash, subject, expires_at);
        self.over("index_credential", work).await
    }

    async fn has_operators(&self) -> Result<bool, StoreError> {
        self.over("has_operators", self.truth.has_operators()).await
    }

    async fn revoke_credential(&self, tenant: &Tenant<'_>, subject_id: &str) -> Result<(), StoreError> {
        self.over("revoke_credential", self.truth.revoke_credential(tenant, subject_id)).await
    }

    async fn last_uses(&self, tenant: &Tenant<'_>) -> Result<HashMap<KeyId, Timestamp>, StoreError> {
        self.over("last_uses", self.truth.last_uses(tenant)).await
    }

    async fn own_worker_seen(&self, _: &Tenant<'_>) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn pool_seen(&self, _: &Slug) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.over("probe", self.truth.probe()).await
    }
}

/// Asked before every visit, so what it remembers for a moment is the adapter's and not simulated: each question goes
/// to the store.
#[async_trait]
impl CredentialIndex for NodeStore {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        let work = CredentialIndex::find(&self.truth, hash);
        self.link.call("find", work).await.unwrap_or(Err(IndexUnavailable))
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        let work = CredentialIndex::standing(&self.truth, tenant);
        self.link.call("standing", work).await.unwrap_or(Err(IndexUnavailable))
    }
}
