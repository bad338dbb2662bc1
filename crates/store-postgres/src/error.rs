//! What can go wrong inside the backend, and what of it callers are told.

use deadpool_postgres::PoolError;
use store::StoreError;

/// A fault of this backend. Its text is for the operator's log and names no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The answer that the caller gets as it is.
    #[error("{0}")]
    Answer(StoreError),
    /// The database refused a statement. Only its code is kept: the message quotes values.
    #[error("the database refused a statement ({0})")]
    Refused(String),
    /// The connection was lost, or none could be had.
    #[error("the database cannot be reached")]
    Lost,
    /// The database does not take the tenant that a transaction was bound to.
    #[error("the database took no token for the tenant")]
    NotBound,
    /// What was read cannot be what was written.
    #[error("{0} is damaged")]
    Damaged(&'static str),
    /// The tenant has no key any more.
    #[error("the tenant's key is gone")]
    KeyGone,
    /// The tenant has no home of the kind that it is to have.
    #[error("the tenant's home is not there")]
    NoHome,
    /// The tenant's home has tables of another version.
    #[error("the tenant's home is of another version; whoever makes homes brings it to this one")]
    Outdated,
    /// The tenant's home does not keep it apart as it should.
    #[error("the tenant's home is not as it should be")]
    Unsound,
    /// The key management refused.
    #[error("the key management: {0}")]
    Keys(String),
}

impl Fault {
    /// Whether a home may refuse so because its tenant has been moved to another: the token, the head of the log, the
    /// tables, the role or the database are gone. Whoever meets it looks where the tenant is.
    pub(crate) fn may_be_of_a_move(&self) -> bool {
        matches!(self, Self::NotBound | Self::KeyGone | Self::NoHome | Self::Lost | Self::Refused(_))
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code().map(tokio_postgres::error::SqlState::code) {
            // Classes 08 and 57 are of the connection and of a server that stops.
            Some(code) if code.starts_with("08") || code.starts_with("57") => Self::Lost,
            Some(code) => Self::Refused(code.to_owned()),
            None if error.is_closed() => Self::Lost,
            None => {
                tracing::error!(cause = ?std::error::Error::source(&error).map(ToString::to_string), "the database");
                Self::Lost
            }
        }
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            _ => Self::Lost,
        }
    }
}

impl From<store_core::Fault> for Fault {
    fn from(fault: store_core::Fault) -> Self {
        match fault {
            store_core::Fault::Answer(answer) => Self::Answer(answer),
            store_core::Fault::Damaged(what) => Self::Damaged(what),
            store_core::Fault::Keys(text) => Self::Keys(text),
        }
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

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Answer(answer) => answer,
            Fault::Damaged(_) | Fault::KeyGone | Fault::NoHome | Fault::Unsound => {
                tracing::error!(%fault, "a tenant's store is out of service");
                Self::TenantUnavailable
            }
            Fault::Refused(_) | Fault::Lost | Fault::NotBound | Fault::Outdated | Fault::Keys(_) => {
                tracing::error!(%fault, "the store could not carry out a call");
                Self::Unavailable
            }
        }
    }
}
