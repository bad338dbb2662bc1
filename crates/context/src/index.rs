//! The credential index's port: the one look-up that happens before any tenant exists, read by this crate
//! alone.

use crate::{KeyedHash, SigningAlgorithm};
use async_trait::async_trait;
use authz::{OperatorRole, Role, Scopes};
use env::Timestamp;
use ids::{AgentId, HookId, KeyId, SigningKeyId, Slug, TenantId, WorkflowId};
use metering::plan::Limits;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Whether a tenant takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantStatus {
    /// As usual.
    Active,
    /// Every key is refused and runs are parked, until the operator resumes it.
    Suspended,
    /// As suspended, and exported for another deployment to take in: nothing of it may change here any more.
    Leaving,
    /// Being erased: nothing enters any more.
    Deleting,
}

impl TenantStatus {
    /// The status's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Leaving => "leaving",
            Self::Deleting => "deleting",
        }
    }

    /// The status with this name.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Active, Self::Suspended, Self::Leaving, Self::Deleting];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

/// What the platform knows of a tenant that a visit needs.
#[derive(Clone, Debug)]
pub struct TenantStanding {
    /// The tenant.
    pub id: TenantId,
    /// Whether it takes part.
    pub status: TenantStatus,
    /// Its plan's name.
    pub plan: Slug,
    /// The plan's limits with the tenant's overrides.
    pub limits: Arc<Limits>,
    /// Where its data rests.
    pub region: Slug,
    /// When it ends, where it is a throwaway tenant of a grant to run the attack suite. It calls the offline
    /// model alone, and reaches nothing outside.
    pub throwaway_until: Option<Timestamp>,
    /// Whether a worker of its own carries its runs out, and nobody else does: it has a database of its own.
    pub own_worker: bool,
    /// The pool of workers that alone carries its runs out, where its plan names one.
    pub pool: Option<Slug>,
}

/// What a credential stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IndexedSubject {
    /// A tenant's API key.
    ApiKey {
        /// The key.
        id: KeyId,
        /// The role in the tenant.
        role: Role,
        /// What the key is narrowed to.
        scopes: Scopes,
        /// The agent that holds it.
        agent: Option<AgentId>,
    },
    /// A key with which the tenant signs tokens of its own.
    SigningKey {
        /// The key.
        id: SigningKeyId,
        /// The one algorithm that it signs with.
        algorithm: SigningAlgorithm,
        /// The public key as a JWK.
        public_jwk: String,
        /// The highest role that its tokens may claim.
        role: Role,
    },
    /// The inbound address of a workflow.
    Hook {
        /// The hook.
        id: HookId,
        /// The workflow that it starts.
        workflow: WorkflowId,
    },
    /// An operator's key.
    Operator {
        /// The key.
        id: KeyId,
        /// The operator's role.
        role: OperatorRole,
        /// What operators call the key.
        name: String,
    },
    /// A grant to run the attack suite. It ends when its line does.
    VerifyGrant {
        /// The grant.
        id: KeyId,
        /// What operators call it.
        name: String,
        /// How many throwaway tenants it may have at the same time.
        tenants: u32,
    },
    /// The token of the worker that a tenant has for itself.
    Worker {
        /// The token.
        id: KeyId,
    },
}

/// A line of the index.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    /// What the credential stands for.
    pub subject: IndexedSubject,
    /// Its tenant; operators have none.
    pub tenant: Option<TenantStanding>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// The index could not be read. The caller is told to try again; the cause is in the operator's log.
#[derive(Debug, thiserror::Error)]
#[error("the credential index could not be read")]
pub struct IndexUnavailable;

/// Finds what a credential stands for. Revoked credentials and those of deleted tenants are not found.
#[async_trait]
pub trait CredentialIndex: Send + Sync {
    /// The line under this hash.
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable>;

    /// The standing of a tenant, for background work that its own state leads to.
    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable>;
}
