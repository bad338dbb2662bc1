//! What can go wrong in what the backends share. Each backend makes a fault of its own of it.

use store::StoreError;

/// A fault. Its text is for the operator's log and names no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The answer that the caller gets as it is.
    #[error("{0}")]
    Answer(StoreError),
    /// What was read cannot be what was written.
    #[error("{0} is damaged")]
    Damaged(&'static str),
    /// The key management refused.
    #[error("the key management: {0}")]
    Keys(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl From<kms::KmsError> for Fault {
    fn from(error: kms::KmsError) -> Self {
        Self::Keys(error.to_string())
    }
}

impl From<kms::aead::AeadError> for Fault {
    fn from(_: kms::aead::AeadError) -> Self {
        Self::Damaged("a sealed value, or its key,")
    }
}

impl From<audit::event::EventError> for Fault {
    fn from(error: audit::event::EventError) -> Self {
        Self::Answer(StoreError::Invalid(error.to_string()))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Answer(answer) => answer,
            Fault::Damaged(_) => Self::TenantUnavailable,
            Fault::Keys(_) => Self::Unavailable,
        }
    }
}
