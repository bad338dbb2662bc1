//! Grants to run the attack suite: lines of the credential index without a tenant.

use crate::EmbeddedStore;
use async_trait::async_trait;
use context::{IndexedSubject, KeyedHash, Operator};
use ids::{KeyId, TenantId};
use store::{StoreError, VerifyGrantRow, VerifyGrants};

#[async_trait]
impl VerifyGrants for EmbeddedStore {
    async fn add_verify_grant(
        &self,
        _: &Operator,
        hash: KeyedHash,
        row: VerifyGrantRow,
    ) -> Result<(), StoreError> {
        let VerifyGrantRow { id, name, tenants, expires_at } = row;
        let subject = IndexedSubject::VerifyGrant { id, name, tenants };
        Ok(self.inner().platform.add_credential(hash, None, subject, Some(expires_at)).await?)
    }

    async fn verify_grants(&self, _: &Operator) -> Result<Vec<VerifyGrantRow>, StoreError> {
        Ok(self.inner().platform.verify_grants().await?)
    }

    async fn revoke_verify_grant(&self, _: &Operator, id: KeyId) -> Result<(), StoreError> {
        Ok(self.inner().platform.remove_verify_grant(id).await?)
    }

    async fn throwaways(&self, _: &Operator, grant: KeyId) -> Result<Vec<(TenantId, u32)>, StoreError> {
        Ok(self.inner().platform.throwaways(grant).await?)
    }
}
