//! The operators' own log, as outsiders check it: its key, checkpoints, proofs, and what it vouches for.

use crate::{InclusionProof, StoreError};
use async_trait::async_trait;
use audit::evidence::Findings;
use context::Operator;

/// The operators' own log, as outsiders check it.
#[async_trait]
pub trait OperatorLog: Send + Sync {
    /// The key that verifies the log.
    async fn operator_log_key(&self, operator: &Operator) -> Result<String, StoreError>;

    /// How many events the log has, and a signed checkpoint over exactly that many.
    async fn operator_checkpoint(&self, operator: &Operator) -> Result<(u64, String), StoreError>;

    /// A proof that an event is in the log.
    async fn prove_operator_event(
        &self,
        operator: &Operator,
        index: u64,
    ) -> Result<InclusionProof, StoreError>;

    /// The hashes that show that the log of `earlier` events is a prefix of the present one, and the present
    /// one's checkpoint.
    async fn prove_operator_growth(
        &self,
        operator: &Operator,
        earlier: u64,
    ) -> Result<(Vec<[u8; 32]>, String), StoreError>;

    /// Signs the findings with the log's key, as a note that can be taken for no checkpoint.
    async fn sign_findings(&self, operator: &Operator, findings: &Findings) -> Result<String, StoreError>;
}
