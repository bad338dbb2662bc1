//! The operators' own log, as outsiders check it.

use super::audit_trail::{checkpoint, prove_growth, prove_inclusion, size};
use crate::EmbeddedStore;
use crate::error::Fault;
use crate::keys::TenantKeys;
use crate::store_impl::operator_log;
use crate::tenant::Database;
use async_trait::async_trait;
use audit::evidence::Findings;
use context::Operator;
use store::{InclusionProof, OperatorLog, StoreError};

impl EmbeddedStore {
    async fn read_operator_log<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database, &TenantKeys) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let handle = self.handle_of(operator_log()).await?;
        let keys_of = handle.clone();
        Ok(handle.read(move |database| read(database, &keys_of.keys())).await?)
    }
}

#[async_trait]
impl OperatorLog for EmbeddedStore {
    async fn operator_log_key(&self) -> Result<String, StoreError> {
        self.read_operator_log(|_, keys| Ok(keys.log().verifier().to_string())).await
    }

    async fn operator_checkpoint(&self) -> Result<(u64, String), StoreError> {
        self.read_operator_log(|database, keys| {
            let size = size(database, keys)?;
            Ok((size, checkpoint(database, keys, size)?))
        })
        .await
    }

    async fn prove_operator_event(
        &self,
        _: &Operator,
        index: u64,
        size: Option<u64>,
    ) -> Result<InclusionProof, StoreError> {
        self.read_operator_log(move |database, keys| prove_inclusion(database, keys, index, size)).await
    }

    async fn prove_operator_growth(
        &self,
        earlier: u64,
        size: Option<u64>,
    ) -> Result<(Vec<[u8; 32]>, String), StoreError> {
        self.read_operator_log(move |database, keys| prove_growth(database, keys, earlier, size)).await
    }

    async fn sign_findings(&self, _: &Operator, findings: &Findings) -> Result<String, StoreError> {
        let findings = findings.clone();
        self.read_operator_log(move |_, keys| {
            findings.signed(keys.log()).map_err(|_| Fault::Damaged("the findings of a report"))
        })
        .await
    }
}
