//! What operators have of their own: their log, and the answers to their repeated requests.

use crate::EmbeddedStore;
use crate::store_impl::operator_log;
use crate::tenant::Append;
use async_trait::async_trait;
use audit::event::Draft;
use authz::OperatorRole;
use context::{IndexedSubject, KeyedHash, Operator};
use env::Timestamp;
use ids::{EventId, KeyId};
use store::{
    AuditEvent, AuditQuery, IdempotencyClaim, OperatorKeyRow, OperatorStore, Page, PageRequest, Remembered,
    StoreError,
};

#[async_trait]
impl OperatorStore for EmbeddedStore {
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
        let handle = self.handle_of(operator_log()).await?;
        Ok(handle.append(Append { events, ..Append::default() }).await?)
    }

    async fn append_outsiders_events(&self, events: Vec<Draft>) -> Result<(), StoreError> {
        let handle = self.handle_of(operator_log()).await?;
        handle.append(Append { events, ..Append::default() }).await?;
        Ok(())
    }

    async fn operator_events(
        &self,
        _: &Operator,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Page<AuditEvent>, StoreError> {
        let handle = self.handle_of(operator_log()).await?;
        let (query, page, env, keys_of) = (query.clone(), page.clone(), self.env(), handle.clone());
        Ok(handle
            .read(move |database| {
                super::audit_trail::page_of_events(database, &keys_of.keys(), &env, &query, &page)
            })
            .await?)
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
        Ok(self.inner().platform.claim_operator_key(claim.clone(), now).await?)
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
