//! A tenant to make calls as: the smallest index and audit log that let system work in.

use async_trait::async_trait;
use audit::event::Draft;
use authz::SystemPrincipal;
use context::{
    Admission, AuditLog, AuditUnavailable, Authenticator, CredentialIndex, FailureLog, IndexEntry, IndexKey,
    IndexUnavailable, KeyedHash, RequestFacts, Tenant, TenantStanding, TenantStatus,
};
use env::{Env, Timestamp};
use ids::{KeyId, TenantId};
use metering::plan::Limits;
use secret::SecretBytes;
use std::net::IpAddr;
use std::sync::Arc;

struct OneStanding;

#[async_trait]
impl CredentialIndex for OneStanding {
    async fn find(&self, _: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        Ok(None)
    }

    async fn standing(&self, id: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        let (plan, region) = ("starter".parse().unwrap(), "local".parse().unwrap());
        let limits = Arc::new(Limits::default());
        Ok(Some(TenantStanding {
            id,
            status: TenantStatus::Active,
            plan,
            limits,
            region,
            throwaway_until: None,
        }))
    }
}

#[async_trait]
impl AuditLog for OneStanding {
    async fn append(&self, _: &Tenant<'_>, _: Draft) -> Result<(), AuditUnavailable> {
        Ok(())
    }
}

impl FailureLog for OneStanding {
    fn note(&self, _: Option<IpAddr>, _: Option<KeyId>, _: Timestamp) {}
}

/// A fixed environment.
pub fn env() -> Env {
    Env::fixed(Timestamp::from_millis(1_790_000_000_000), 7).0
}

/// A way into a fresh tenant, whose caller waits until `deadline`.
pub async fn admission(env: &Env, deadline: Option<Timestamp>) -> Admission {
    let key = Arc::new(IndexKey::new(SecretBytes::take(&mut [1; 32])));
    let one = Arc::new(OneStanding);
    let authenticator =
        Authenticator::new(one.clone(), one.clone(), one, key, "http://localhost".into(), env.clone());
    let request = RequestFacts { deadline, ..RequestFacts::internal(env.id()) };
    authenticator.admit_system(SystemPrincipal::RunExecution, env.id(), None, request).await.unwrap()
}
