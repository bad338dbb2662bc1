//! Idempotency keys: what a repeated write is answered with.

use crate::StoreError;
use async_trait::async_trait;
use context::{Private, Tenant};
use env::Timestamp;

/// The caller's key, bound to what it sent. Part of the write's own commit, so a write with the same key
/// can never be carried out twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// SHA-256 over principal, method, path and key: one principal's keys are not another's.
    pub key: [u8; 32],
    /// SHA-256 over the request's body.
    pub request: [u8; 32],
    /// Until when it is kept.
    pub until: Timestamp,
}

/// What is known of an earlier request with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// SHA-256 over its body.
    pub request: [u8; 32],
    /// Its answer: status and body; `None` where a crash lost it.
    pub answer: Option<(u16, Vec<u8>)>,
}

/// Remembers the answers of writes.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// The earlier request with this key, unless it is too long ago.
    async fn remembered<'t>(
        &self,
        tenant: &Tenant<'t>,
        key: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<Private<'t, Remembered>>, StoreError>;

    /// Keeps the answer of a request whose claim was committed.
    async fn remember(
        &self,
        tenant: &Tenant<'_>,
        claim: &IdempotencyClaim,
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError>;

    /// Gives a key back whose request came to nothing, so that it can be repeated.
    async fn give_back(&self, tenant: &Tenant<'_>, claim: &IdempotencyClaim) -> Result<(), StoreError>;
}
