//! What operators have of their own: their log, and the answers to their repeated requests.

use crate::MemoryStore;
use crate::log::page_of_events;
use crate::platform::Line;
use async_trait::async_trait;
use audit::event::Draft;
use authz::OperatorRole;
use context::{IndexedSubject, KeyedHash, Operator};
use env::Timestamp;
use ids::{EventId, KeyId};
use store::{
    AuditEvent, AuditQuery, Commit, IdempotencyClaim, OperatorKeyRow, OperatorStore, Page, PageRequest,
    Remembered, StoreError,
};

#[async_trait]
impl OperatorStore for MemoryStore {
    async fn add_first_operator(&self, hash: KeyedHash, id: KeyId, name: &str) -> Result<bool, StoreError> {
        let mut state = self.state();
        let none = state.platform.operators().is_empty();
        if none {
            let subject = IndexedSubject::Operator { id, role: OperatorRole::Admin, name: name.to_owned() };
            state.platform.lines.insert(hash, Line { tenant: None, subject, expires_at: None });
        }
        Ok(none)
    }

    async fn add_operator_key(
        &self,
        _: &Operator,
        hash: KeyedHash,
        row: OperatorKeyRow,
    ) -> Result<(), StoreError> {
        let subject = IndexedSubject::Operator { id: row.id, role: row.role, name: row.name };
        self.state().platform.lines.insert(hash, Line { tenant: None, subject, expires_at: None });
        Ok(())
    }

    async fn operator_keys(&self, _: &Operator) -> Result<Vec<OperatorKeyRow>, StoreError> {
        Ok(self.state().platform.operators())
    }

    async fn revoke_operator_key(&self, _: &Operator, id: KeyId) -> Result<bool, StoreError> {
        let mut state = self.state();
        let keys = state.platform.operators();
        let revoked = keys.iter().find(|key| key.id == id).ok_or(StoreError::NotFound)?;
        let admins = keys.iter().filter(|key| key.role == OperatorRole::Admin).count();
        if revoked.role == OperatorRole::Admin && admins == 1 {
            return Ok(false);
        }
        state
            .platform
            .lines
            .retain(|_, line| !matches!(line.subject, IndexedSubject::Operator { id: of, .. } if of == id));
        Ok(true)
    }

    async fn append_operator_events(
        &self,
        _: &Operator,
        events: Vec<Draft>,
    ) -> Result<Vec<EventId>, StoreError> {
        let commit = Commit { events, ..Commit::default() };
        Ok(self.state().operators.commit(commit, self.env(), |_| Ok(()))?.1)
    }

    async fn append_outsiders_events(&self, events: Vec<Draft>) -> Result<(), StoreError> {
        let commit = Commit { events, ..Commit::default() };
        self.state().operators.commit(commit, self.env(), |_| Ok(()))?;
        Ok(())
    }

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
