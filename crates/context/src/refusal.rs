//! [`Refusal`]: why nobody was let in, as far as a caller may know.

use crate::IndexUnavailable;
use errors::{Code, Problem};

/// Why nobody was let in. Unknown, revoked, expired and malformed credentials are one and the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credential is missing or not valid.
    #[error("unauthorized")]
    Unauthorized,
    /// The header names another tenant than the credential, or one although the credential has none.
    #[error("tenant mismatch")]
    TenantMismatch,
    /// The tenant is suspended.
    #[error("tenant suspended")]
    Suspended,
    /// The index could not be read.
    #[error("index unavailable")]
    Unavailable,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized => {
                Self::new(Code::Unauthorized, "Send a valid key or token as `Authorization: Bearer …`.")
            }
            Refusal::TenantMismatch => Self::new(
                Code::TenantMismatch,
                "`X-Tenant-ID` names another tenant than the credential. Leave the header out.",
            ),
            Refusal::Suspended => Self::new(Code::TenantSuspended, "The operator has suspended this tenant."),
            Refusal::Unavailable => {
                Self::new(Code::Unavailable, "The credential could not be checked. Try again.").retry_after(1)
            }
        }
    }
}

impl From<IndexUnavailable> for Refusal {
    fn from(_: IndexUnavailable) -> Self {
        Self::Unavailable
    }
}
