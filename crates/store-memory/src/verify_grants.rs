//! Grants to run the attack suite.

use crate::MemoryStore;
use crate::platform::Line;
use async_trait::async_trait;
use context::{IndexedSubject, KeyedHash, Operator};
use ids::{KeyId, TenantId};
use store::{StoreError, VerifyGrantRow, VerifyGrants};

#[async_trait]
impl VerifyGrants for MemoryStore {
    async fn add_verify_grant(
        &self,
        _: &Operator,
        hash: KeyedHash,
        row: VerifyGrantRow,
    ) -> Result<(), StoreError> {
        let VerifyGrantRow { id, name, tenants, expires_at } = row;
        let subject = IndexedSubject::VerifyGrant { id, name, tenants };
        let line = Line { tenant: None, subject, expires_at: Some(expires_at) };
        self.state().platform.lines.insert(hash, line);
        Ok(())
    }

    async fn verify_grants(&self, _: &Operator) -> Result<Vec<VerifyGrantRow>, StoreError> {
        let state = self.state();
        let rows = state.platform.lines.values().filter_map(|line| match (&line.subject, line.expires_at) {
            (IndexedSubject::VerifyGrant { id, name, tenants }, Some(expires_at)) => {
                Some(VerifyGrantRow { id: *id, name: name.clone(), tenants: *tenants, expires_at })
            }
            _ => None,
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    async fn revoke_verify_grant(&self, _: &Operator, id: KeyId) -> Result<(), StoreError> {
        let lines = &mut self.state().platform.lines;
        let before = lines.len();
        lines.retain(
            |_, line| !matches!(line.subject, IndexedSubject::VerifyGrant { id: of, .. } if of == id),
        );
        if lines.len() == before { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn throwaways(&self, _: &Operator, grant: KeyId) -> Result<Vec<(TenantId, u32)>, StoreError> {
        let state = self.state();
        let made = state.platform.rows.values().filter_map(|row| {
            let throwaway = row.throwaway?;
            (throwaway.grant == grant).then_some((row.id, throwaway.slot))
        });
        Ok(made.collect())
    }
}
