//! The tenant as a type.
//!
//! [`Authenticator`] is the only maker of an [`Admission`]; [entering](Admission::enter) with one gives a
//! [`Tenant<'t>`], whose invariant lifetime is a compile-time name for this visit. Ports take the tenant,
//! or the [`Access`] that it granted; what they give back is [`Private<'t, T>`] and leaves only through a
//! [`door`]. `docs/isolation.md` explains what this proves, what it does not, and the compiler's messages.

mod access;
mod admission;
mod authenticate;
pub mod door;
pub mod event;
mod grant;
mod hash;
mod index;
mod key;
mod lease;
mod operator;
mod own_worker;
mod principal;
mod private;
mod refusal;
mod request;
mod signing_key;
mod tenant;
mod throttle;
mod token;

pub use access::{Access, Create, Delete, Invoke, Noun, Permission, Read, ReadContent, Update, on};
pub use admission::Admission;
pub use authenticate::{
    AuditLog, AuditUnavailable, Authenticator, Caller, CredentialKind, HookAdmission, Presented,
};
pub use grant::{Grant, Throwaway};
pub use hash::{IndexKey, KeyedHash};
pub use index::{
    CredentialIndex, IndexEntry, IndexUnavailable, IndexedSubject, TenantStanding, TenantStatus,
};
pub use key::{
    ApiKey, GrantKey, HookToken, OperatorKey, WorkerToken, issue_api_key, issue_hook_token,
    issue_operator_key, issue_verify_grant, issue_worker_token,
};
pub use lease::Lease;
pub use operator::Operator;
pub use own_worker::OwnWorker;
pub use principal::{Principal, PrincipalKind};
pub use private::{Crossing, Origin, Private};
pub use refusal::Refusal;
pub use request::{FailureLog, RequestFacts};
pub use signing_key::SigningAlgorithm;
pub use tenant::Tenant;
pub use throttle::subscriber_network;
