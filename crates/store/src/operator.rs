//! What operators have of their own: their log, and the answers to their repeated requests.

use crate::{AuditEvent, AuditQuery, IdempotencyClaim, Page, PageRequest, Remembered, StoreError};
use async_trait::async_trait;
use context::Operator;
use env::Timestamp;

/// Keeps what operators have of their own.
#[async_trait]
pub trait OperatorStore: Send + Sync {
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
