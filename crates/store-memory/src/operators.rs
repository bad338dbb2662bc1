//! What operators have of their own: their log, and the answers to their repeated requests.

use crate::MemoryStore;
use crate::log::page_of_events;
use async_trait::async_trait;
use context::Operator;
use env::Timestamp;
use store::{
    AuditEvent, AuditQuery, IdempotencyClaim, OperatorStore, Page, PageRequest, Remembered, StoreError,
};

#[async_trait]
impl OperatorStore for MemoryStore {
    async fn operator_events(
        &self,
        _: &Operator,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Page<AuditEvent>, StoreError> {
        page_of_events(&self.state().operators, query, page)
    }

    async fn operator_remembered(
        &self,
        _: &Operator,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Remembered>, StoreError> {
        let state = self.state();
        let found = state.operators.tables.claims.get(key).filter(|(claim, _)| claim.until > now);
        Ok(found.map(|(claim, answer)| Remembered { request: claim.request, answer: answer.clone() }))
    }

    async fn claim_for_operator(
        &self,
        _: &Operator,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let claims = &mut self.state().operators.tables.claims;
        if claims.get(&claim.key).is_some_and(|(taken, _)| taken.until > now) {
            return Err(StoreError::Claimed);
        }
        claims.insert(claim.key, (claim.clone(), None));
        Ok(())
    }

    async fn remember_for_operator(
        &self,
        _: &Operator,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        if let Some((_, answer)) = self.state().operators.tables.claims.get_mut(&claim.key) {
            *answer = Some((status, body));
        }
        Ok(())
    }

    async fn release_for_operator(&self, _: &Operator, claim: &IdempotencyClaim) -> Result<(), StoreError> {
        let claims = &mut self.state().operators.tables.claims;
        if claims.get(&claim.key).is_some_and(|(_, answer)| answer.is_none()) {
            claims.remove(&claim.key);
        }
        Ok(())
    }
}
