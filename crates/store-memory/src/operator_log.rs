//! The operators' own log, as outsiders check it.

use crate::MemoryStore;
use crate::log::{checkpoint, prove_growth, prove_inclusion};
use async_trait::async_trait;
use audit::evidence::Findings;
use context::Operator;
use store::{InclusionProof, OperatorLog, StoreError};

#[async_trait]
impl OperatorLog for MemoryStore {
    async fn operator_log_key(&self) -> Result<String, StoreError> {
        Ok(self.state().operators.log.verifier().to_string())
    }

    async fn operator_checkpoint(&self) -> Result<(u64, String), StoreError> {
        checkpoint(&self.state().operators)
    }

    async fn prove_operator_event(
        &self,
        _: &Operator,
        index: u64,
        size: Option<u64>,
    ) -> Result<InclusionProof, StoreError> {
        prove_inclusion(&self.state().operators, index, size)
    }

    async fn prove_operator_growth(
        &self,
        earlier: u64,
        size: Option<u64>,
    ) -> Result<(Vec<[u8; 32]>, String), StoreError> {
        prove_growth(&self.state().operators, earlier, size)
    }

    async fn sign_findings(&self, _: &Operator, findings: &Findings) -> Result<String, StoreError> {
        findings.signed(&self.state().operators.log).map_err(|_| StoreError::Invalid("The report.".into()))
    }
}
