//! What a store can answer instead of a value.

use context::{AuditUnavailable, Crossing};
use errors::{Code, Problem};

/// Nobody knows when a full tenant deletes something; this keeps clients that repeat by themselves patient.
const QUOTA_RETRY_SECONDS: u64 = 600;

/// Why a store call did not do what was asked. The cause of a fault of ours is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such object in this tenant, or none within reach.
    #[error("no such object")]
    NotFound,
    /// The object has another version than the caller saw.
    #[error("the object has changed")]
    Stale,
    /// What was to be made is there already.
    #[error("there is one already: {0}")]
    Exists(String),
    /// The idempotency key was claimed by an earlier request.
    #[error("the idempotency key is taken")]
    Claimed,
    /// The cursor, filter or sort cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The tenant's stored amount is at its limit.
    #[error("the tenant's storage is full")]
    QuotaExceeded,
    /// The run that the visit carries out is somebody else's by now, and nothing of it was written.
    #[error("the run is carried out elsewhere by now")]
    LeaseLost,
    /// A value of another tenant was met and stopped.
    #[error("a value of another tenant was stopped")]
    Crossing,
    /// This tenant's file or key cannot be used; others are not affected.
    #[error("the tenant's store is out of service")]
    TenantUnavailable,
    /// The store cannot take this now.
    #[error("the store cannot take this now")]
    Unavailable,
    /// This backend does not offer the isolation asked for.
    #[error("this isolation is not offered")]
    IsolationUnavailable,
    /// Nobody made the place that the tenant's data was to rest in, within the time that there is for it.
    #[error("the tenant's database or schema was not made in time")]
    ProvisioningUnavailable,
    /// A backup does not fit the tenant that it was to be restored into.
    #[error("{0}")]
    BackupRefused(String),
}

impl From<Crossing> for StoreError {
    fn from(_: Crossing) -> Self {
        Self::Crossing
    }
}

impl From<AuditUnavailable> for StoreError {
    fn from(_: AuditUnavailable) -> Self {
        Self::Unavailable
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Stale => {
                Self::new(Code::PreconditionFailed, "The object has changed. Read it again and repeat.")
            }
            StoreError::Exists(what) => Self::new(Code::Conflict, format!("There is one already: {what}.")),
            StoreError::Claimed => Self::new(
                Code::IdempotencyConflict,
                "The `Idempotency-Key` was used by another request whose answer is not known.",
            ),
            StoreError::Invalid(detail) => Self::invalid(detail),
            StoreError::QuotaExceeded => Self::new(
                Code::QuotaExceeded,
                "The tenant's storage is full. Delete something, or ask for a larger plan.",
            )
            .retry_after(QUOTA_RETRY_SECONDS),
            StoreError::Crossing => {
                Self::new(Code::ContentBlocked, "A value that is not this tenant's was stopped.")
            }
            StoreError::TenantUnavailable => {
                Self::new(Code::TenantUnavailable, "This tenant's store is out of service.").retry_after(60)
            }
            StoreError::LeaseLost => {
                Self::new(Code::Conflict, "The run is carried out elsewhere by now.").retry_after(1)
            }
            StoreError::Unavailable => {
                Self::new(Code::Unavailable, "The store cannot take this now. Try again.").retry_after(1)
            }
            StoreError::IsolationUnavailable => Self::new(
                Code::IsolationUnavailable,
                "This deployment does not offer the isolation asked for.",
            ),
            StoreError::ProvisioningUnavailable => Self::new(
                Code::ProvisioningUnavailable,
                "The tenant's database or schema was not made in time. Nothing of the tenant was kept.",
            )
            .retry_after(30),
            StoreError::BackupRefused(detail) => Self::new(Code::BackupRefused, detail),
        }
    }
}
