//! Ports to what is kept: the platform store, and one store per tenant.
//!
//! They speak of records, runs and events, not of SQL, so that every backend passes one conformance suite.
//! Whatever belongs to a tenant is reached with the [`context::Access`] that its visit granted, and comes
//! back as [`context::Private`]. Every write takes a [`Commit`]: the audit events and marks that become
//! durable with it, or not at all.

mod audit_log;
mod commit;
mod entities;
mod error;
mod happened;
mod idempotency;
mod isolation;
mod keyring;
mod lease;
mod moving;
mod object;
mod objects;
mod operator;
mod operator_log;
mod page;
mod placed;
mod platform;
mod query;
mod record;
mod run;
mod usage;
mod verify_grant;
mod whole_backup;
mod work;

pub use audit_log::{AuditEvent, AuditQuery, AuditTrail, Erasure, InclusionProof};
pub use commit::Commit;
pub use entities::{
    Agent, ApiKeyRecord, Budget, Credential, CredentialStatus, SigningKey, TemplateRef, Workflow,
    WorkflowHook,
};
pub use error::StoreError;
pub use happened::{Happened, Happenings};
pub use idempotency::{IdempotencyClaim, IdempotencyStore, PlannedAnswer, Remembered};
pub use isolation::Isolation;
pub use keyring::{KeyPurpose, TenantKeyring};
pub use lease::{Claim, Leases, Wanted};
pub use moving::{MovePhase, TenantMove};
pub use object::{Entity, Object, ObjectKind, ObjectScope, ObjectStore, Versioned};
pub use objects::Objects;
pub use operator::{OperatorKeyRow, OperatorStore};
pub use operator_log::OperatorLog;
pub use page::{Page, PageRequest};
pub use placed::Placed;
pub use platform::{
    Endpoint, Endpoints, ErasedPlace, ErasureReceipt, Exported, NewTenant, PlatformStore, RestoreLoss,
    RestoreOptions, Restored, Template, TenantLifecycle, TenantRow,
};
pub use query::{Comparison, Filter, FilterError, Operator as FilterOperator, Sort};
pub use record::{CollectionSettings, Record, RecordChange, RecordQuery, RecordStore};
pub use run::{Run, RunEvent, RunMode, RunStatus, RunStore, RunUpdate, StepRow, StoredRun, UnknownDelivery};
pub use usage::{
    Call, CallIntent, CallKind, CallOutcome, CallStatus, GroupBy, LookBack, MeterState, Payer, Spent,
    UsageQuery, UsageRow, UsageStore,
};
pub use verify_grant::{VerifyGrantRow, VerifyGrants};
pub use whole_backup::{Carrier, Piece, PieceKind, TakerGone, WholeBackup, WholeBackups};
pub use work::{Mark, PendingWork, WorkIndex, WorkKind};

/// All that a tenant's store can do.
pub trait TenantStore:
    AuditTrail
    + IdempotencyStore
    + Leases
    + ObjectStore
    + RecordStore
    + RunStore
    + TenantKeyring
    + UsageStore
    + WorkIndex
    + context::AuditLog
{
}

impl<S> TenantStore for S where
    S: AuditTrail
        + IdempotencyStore
        + Leases
        + ObjectStore
        + RecordStore
        + RunStore
        + TenantKeyring
        + UsageStore
        + WorkIndex
        + context::AuditLog
{
}
