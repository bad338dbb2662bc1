//! Grants to run the attack suite, as the platform keeps them.

use crate::StoreError;
use async_trait::async_trait;
use context::{KeyedHash, Operator};
use env::Timestamp;
use ids::{KeyId, TenantId};
use schemars::JsonSchema;
use serde::Serialize;

/// A grant, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerifyGrantRow {
    /// Its id.
    pub id: KeyId,
    /// What operators call it.
    pub name: String,
    /// How many throwaway tenants it may have at the same time.
    pub tenants: u32,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Keeps grants to run the attack suite.
#[async_trait]
pub trait VerifyGrants: Send + Sync {
    /// Adds a grant. It holds from the next request on, until its end.
    async fn add_verify_grant(
        &self,
        operator: &Operator,
        hash: KeyedHash,
        row: VerifyGrantRow,
    ) -> Result<(), StoreError>;

    /// The grants, by id, also those that have ended. There are few.
    async fn verify_grants(&self, operator: &Operator) -> Result<Vec<VerifyGrantRow>, StoreError>;

    /// Takes a grant out of the index; it is refused from the next request on.
    async fn revoke_verify_grant(&self, operator: &Operator, id: KeyId) -> Result<(), StoreError>;

    /// The throwaway tenants of a grant, each with its slot.
    async fn throwaways(&self, operator: &Operator, grant: KeyId)
    -> Result<Vec<(TenantId, u32)>, StoreError>;
}
