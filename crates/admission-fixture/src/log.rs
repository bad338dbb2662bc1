//! The logs that authentication writes, in memory.

use async_trait::async_trait;
use audit::event::Draft;
use context::{AuditLog, AuditUnavailable, FailureLog, Tenant};
use env::Timestamp;
use ids::{KeyId, TenantId};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// A failed authentication: from where, with which claimed key, and when.
pub type Failure = (Option<IpAddr>, Option<KeyId>, Timestamp);

#[derive(Default)]
pub(crate) struct Log {
    events: Mutex<Vec<(TenantId, Draft)>>,
    failures: Mutex<Vec<Failure>>,
}

impl Log {
    pub(crate) fn events(&self) -> Vec<(TenantId, Draft)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl AuditLog for Log {
    async fn append(&self, tenant: &Tenant<'_>, draft: Draft) -> Result<(), AuditUnavailable> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((tenant.id(), draft));
        Ok(())
    }
}

impl FailureLog for Log {
    fn note(&self, ip: Option<IpAddr>, claimed: Option<KeyId>, at: Timestamp) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push((ip, claimed, at));
    }
}
