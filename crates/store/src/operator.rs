//! What operators have of their own: their log, and the answers to their repeated requests.

use crate::{AuditEvent, AuditQuery, IdempotencyClaim, Page, PageRequest, Remembered, StoreError};
use async_trait::async_trait;
use audit::event::Draft;
use authz::OperatorRole;
use context::{KeyedHash, Operator};
use env::Timestamp;
use ids::{EventId, Id as _, KeyId};
use schemars::JsonSchema;
use serde::Serialize;

/// An operator's key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OperatorKeyRow {
    /// Its id.
    pub id: KeyId,
    /// What operators call it.
    pub name: String,
    /// `admin` or `viewer`.
    pub role: OperatorRole,
    /// When it was made.
    pub created_at: Timestamp,
}

impl OperatorKeyRow {
    /// The row of a key that was just made. Its id says when.
    pub fn new(id: KeyId, name: String, role: OperatorRole) -> Self {
        let [a, b, c, d, e, f, ..] = id.to_bytes();
        let millis = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        Self { id, name, role, created_at: Timestamp::from_millis(millis) }
    }
}

/// Keeps what operators have of their own.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// Adds the first operator's key at the first start, where there is no operator who could. Whether there
    /// was none.
    async fn add_first_operator(&self, hash: KeyedHash, id: KeyId, name: &str) -> Result<bool, StoreError>;

    /// Adds an operator's key. It holds from the next request on.
    async fn add_operator_key(
        &self,
        operator: &Operator,
        hash: KeyedHash,
        row: OperatorKeyRow,
    ) -> Result<(), StoreError>;

    /// The operators' keys, by id. There are few.
    async fn operator_keys(&self, operator: &Operator) -> Result<Vec<OperatorKeyRow>, StoreError>;

    /// Takes an operator's key out of the index; it is refused from the next request on. Gives false, and
    /// takes nothing out, where it is the last one with the role `admin`.
    async fn revoke_operator_key(&self, operator: &Operator, id: KeyId) -> Result<bool, StoreError>;

    /// Appends to the operators' own log, in this order; gives back the events' ids.
    async fn append_operator_events(
        &self,
        operator: &Operator,
        events: Vec<Draft>,
    ) -> Result<Vec<EventId>, StoreError>;

    /// Appends to the operators' own log what outsiders tried, which no operator did.
    async fn append_outsiders_events(&self, events: Vec<Draft>) -> Result<(), StoreError>;

    /// A page of the operators' own log, newest first. What was acknowledged is in it.
    async fn operator_events(
        &self,
        operator: &Operator,
        query: &AuditQuery,
        page: &PageRequest,
    ) -> Result<Page<AuditEvent>, StoreError>;

    /// The earlier operator's request with this key, unless it is too long ago.
    async fn operator_remembered(
        &self,
        operator: &Operator,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Remembered>, StoreError>;

    /// Claims a key durably, before the request is carried out: what an operator does reaches over several
    /// stores, so the claim cannot be part of one commit. [`StoreError::Claimed`] where an earlier request
    /// has the key.
    async fn claim_for_operator(
        &self,
        operator: &Operator,
        claim: &IdempotencyClaim,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Keeps the answer of a request that was carried out.
    async fn remember_for_operator(
        &self,
        operator: &Operator,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError>;

    /// Gives the key of a request that was refused or failed back, if it has no answer yet.
    async fn release_for_operator(
        &self,
        operator: &Operator,
        claim: &IdempotencyClaim,
    ) -> Result<(), StoreError>;
}
