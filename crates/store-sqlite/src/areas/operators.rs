//! What operators have of their own: their log, and the answers to their repeated requests.

use crate::EmbeddedStore;
use crate::store_impl::operator_log;
use async_trait::async_trait;
use context::Operator;
use env::Timestamp;
use store::{
    AuditEvent, AuditQuery, IdempotencyClaim, OperatorStore, Page, PageRequest, Remembered, StoreError,
};

#[async_trait]
impl OperatorStore for EmbeddedStore {
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
