//! Operators, their own log, and the grants of attack runs.

use super::audit_trail::{Proofs, page_of_events};
use crate::PostgresStore;
use crate::home::Session;
use crate::store_impl::{operator_log, snapshot};
use crate::tenant::TenantHandle;
use async_trait::async_trait;
use audit::event::Draft;
use audit::evidence::Findings;
use authz::OperatorRole;
use context::{IndexedSubject, KeyedHash, Operator};
use env::Timestamp;
use ids::{EventId, KeyId, TenantId};
use std::sync::Arc;
use store::{
    AuditEvent, AuditQuery, Commit, IdempotencyClaim, InclusionProof, OperatorKeyRow, OperatorLog,
    OperatorStore, Page, PageRequest, Remembered, StoreError, VerifyGrantRow, VerifyGrants,
};

#[async_trait]
impl OperatorStore for PostgresStore {
    async fn add_first_operator(&self, hash: KeyedHash, id: KeyId, name: &str) -> Result<bool, StoreError> {
        let subject = IndexedSubject::Operator { id, role: OperatorRole::Admin, name: name.to_owned() };
        Ok(self.inner().platform.add_operator(hash, subject, true).await?)
    }

    async fn add_operator_key(
        &self,
        _: &Operator,
        hash: KeyedHash,
        row: OperatorKeyRow,
    ) -> Result<(), StoreError> {
        let subject = IndexedSubject::Operator { id: row.id, role: row.role, name: row.name };
        self.inner().platform.add_operator(hash, subject, false).await?;
        Ok(())
    }

    async fn operator_keys(&self, _: &Operator) -> Result<Vec<OperatorKeyRow>, StoreError> {
        Ok(self.inner().platform.operator_keys().await?)
    }

    async fn revoke_operator_key(&self, _: &Operator, id: KeyId) -> Result<bool, StoreError> {
        Ok(self.inner().platform.remove_operator(id).await?)
    }

    async fn append_operator_events(
        &self,
        _: &Operator,
        events: Vec<Draft>,
    ) -> Result<Vec<EventId>, StoreError> {
        let handle = self.handle(operator_log()).await?;
        let commit = Commit { events, ..Commit::default() };
        Ok(handle.write(commit, |_| async { Ok(()) }).await?.ids)
    }

    async fn append_outsiders_events(&self, events: Vec<Draft>) -> Result<(), StoreError> {
        let handle = self.handle(operator_log()).await?;
        let commit = Commit { events, ..Commit::default() };
        handle.write(commit, |_| async { Ok(()) }).await?;
        Ok(())
    }

    async fn operator_events(
        &self,
        _: &Operator,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Page<AuditEvent>, StoreError> {
        let handle = self.handle(operator_log()).await?;
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            page_of_events(&handle, &session, query, page).await
        };
        Ok(snapshot(handle, read).await?.1)
    }

    async fn operator_remembered(
        &self,
        _: &Operator,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Remembered>, StoreError> {
        Ok(self.inner().platform.operator_answer(*key, now).await?)
    }

    async fn claim_for_operator(
        &self,
        _: &Operator,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(self.inner().platform.claim_operator_key(claim, now).await?)
    }

    async fn remember_for_operator(
        &self,
        _: &Operator,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        Ok(self.inner().platform.put_operator_answer(claim.key, status, body).await?)
    }

    async fn release_for_operator(&self, _: &Operator, claim: &IdempotencyClaim) -> Result<(), StoreError> {
        Ok(self.inner().platform.release_operator_key(claim.key).await?)
    }
}

#[async_trait]
impl OperatorLog for PostgresStore {
    async fn operator_log_key(&self) -> Result<String, StoreError> {
        Ok(self.handle(operator_log()).await?.whole_keys()?.log().verifier().to_string())
    }

    async fn operator_checkpoint(&self) -> Result<(u64, String), StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            Proofs::at(&handle, &session).await?.checkpoint(None).await
        };
        Ok(snapshot(self.handle(operator_log()).await?, read).await?.1)
    }

    async fn prove_operator_event(
        &self,
        _: &Operator,
        index: u64,
        size: Option<u64>,
    ) -> Result<InclusionProof, StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            Proofs::at(&handle, &session).await?.inclusion(index, size).await
        };
        Ok(snapshot(self.handle(operator_log()).await?, read).await?.1)
    }

    async fn prove_operator_growth(
        &self,
        earlier: u64,
        size: Option<u64>,
    ) -> Result<(Vec<[u8; 32]>, String), StoreError> {
        let read = |handle: Arc<TenantHandle>, session: Arc<Session>| async move {
            Proofs::at(&handle, &session).await?.growth(earlier, size).await
        };
        Ok(snapshot(self.handle(operator_log()).await?, read).await?.1)
    }

    async fn sign_findings(&self, _: &Operator, findings: &Findings) -> Result<String, StoreError> {
        let handle = self.handle(operator_log()).await?;
        findings.clone().signed(handle.whole_keys()?.log()).map_err(|_| StoreError::TenantUnavailable)
    }
}

#[async_trait]
impl VerifyGrants for PostgresStore {
    async fn add_verify_grant(
        &self,
        _: &Operator,
        hash: KeyedHash,
        row: VerifyGrantRow,
    ) -> Result<(), StoreError> {
        let VerifyGrantRow { id, name, tenants, expires_at } = row;
        let subject = IndexedSubject::VerifyGrant { id, name, tenants };
        Ok(self.inner().platform.add_credential(hash, None, subject, Some(expires_at)).await?)
    }

    async fn verify_grants(&self, _: &Operator) -> Result<Vec<VerifyGrantRow>, StoreError> {
        Ok(self.inner().platform.verify_grants().await?)
    }

    async fn revoke_verify_grant(&self, _: &Operator, id: KeyId) -> Result<(), StoreError> {
        Ok(self.inner().platform.remove_verify_grant(id).await?)
    }

    async fn throwaways(&self, _: &Operator, grant: KeyId) -> Result<Vec<(TenantId, u32)>, StoreError> {
        Ok(self.inner().platform.throwaways(grant).await?)
    }
}
