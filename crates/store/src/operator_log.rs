//! The operators' own log, as outsiders check it: its key, checkpoints, proofs, and what it vouches for.

use crate::{InclusionProof, StoreError};
use async_trait::async_trait;
use audit::evidence::Findings;
use context::Operator;

/// The operators' own log, as outsiders check it. Where no operator is asked for, there are hashes alone and no
/// event: witnesses are shown them without anybody's call.
#[async_trait]
pub trait OperatorLog: Send + Sync {
    /// The key that verifies the log.
    async fn operator_log_key(&self) -> Result<String, StoreError>;

    /// How many events the log has, and a signed checkpoint over exactly that many.
    async fn operator_checkpoint(&self) -> Result<(u64, String), StoreError>;

    /// A proof that an event is in the log of `size` events, or in the present one.
    async fn prove_operator_event(
        &self,
        operator: &Operator,
        index: u64,
        size: Option<u64>,
    ) -> Result<InclusionProof, StoreError>;

    /// The hashes that show that the log of `earlier` events is a prefix of the one of `size` events, or of
    /// the present one, and the checkpoint of the latter.
    async fn prove_operator_growth(
        &self,
        earlier: u64,
        size: Option<u64>,
    ) -> Result<(Vec<[u8; 32]>, String), StoreError>;

    /// Signs the findings with the log's key, as a note that can be taken for no checkpoint.
    async fn sign_findings(&self, operator: &Operator, findings: &Findings) -> Result<String, StoreError>;
}
