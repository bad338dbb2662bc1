//! What can go wrong inside the backend, and what of it callers are told.

use sqlcipher::ErrorCode;
use store::StoreError;

/// A fault of this backend. Its text is for the operator's log and names no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The answer that the caller gets as it is.
    #[error("{0}")]
    Answer(StoreError),
    /// The journal's writer has ended.
    #[error("the node journal has stopped")]
    Stopped,
    /// An earlier entry was lost, so this one's events have to be numbered again.
    #[error("the entry's events must be numbered again")]
    Renumber,
    /// SQLite failed.
    #[error("SQLite: {0}")]
    Sqlite(String),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The disk failed a read or a write.
    #[error("the disk: {0}")]
    Disk(String),
    /// What was read cannot be what was written.
    #[error("{0} is damaged")]
    Damaged(&'static str),
    /// The tenant has no key any more.
    #[error("the tenant's key is gone")]
    KeyGone,
    /// The file is of another tenant.
    #[error("the file is of another tenant")]
    WrongTenant,
    /// The credential index takes a key for the tenant's that the tenant does not have.
    #[error("the credential index has {0} for the tenant, and the tenant has no such key")]
    ForeignCredential(String),
    /// The file was written by a newer version of this program.
    #[error("the file's schema is newer than this program")]
    NewerSchema,
    /// The file system refused.
    #[error("the file system: {0}")]
    Io(String),
}

impl From<sqlcipher::Error> for Fault {
    fn from(error: sqlcipher::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(code @ (ErrorCode::SystemIoFailure | ErrorCode::ReadOnly)) => {
                Self::Disk(format!("{code:?}"))
            }
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged("the database file"),
            Some(ErrorCode::NotADatabase) => Self::Damaged("the database file, or its key,"),
            // Only the code: the message of a failed constraint names columns, and that of a failed
            // conversion quotes values.
            Some(code) => Self::Sqlite(format!("{code:?}")),
            None if is_misfit(&error) => {
                tracing::error!(found = misuse(&error), "a database does not hold what was written");
                Self::Damaged("a row")
            }
            None => Self::Sqlite(misuse(&error)),
        }
    }
}

/// Whether what was read cannot be what was written: the fault of one file, and not of the program.
fn is_misfit(error: &sqlcipher::Error) -> bool {
    use sqlcipher::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows, Utf8Error,
    };
    matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | QueryReturnedNoRows
            | Utf8Error(..)
    )
}

/// What rusqlite itself refused, without the values that its messages quote.
fn misuse(error: &sqlcipher::Error) -> String {
    match error {
        sqlcipher::Error::QueryReturnedNoRows => "a row that must be there is not".to_owned(),
        sqlcipher::Error::InvalidColumnType(_, column, kind) => format!("the column {column} holds {kind}"),
        sqlcipher::Error::ExecuteReturnedResults => "a statement gave rows that nobody asked for".to_owned(),
        sqlcipher::Error::InvalidParameterCount(given, taken) => {
            format!("a statement takes {taken} values and got {given}")
        }
        _ => "a row that does not fit its type".to_owned(),
    }
}

impl From<sqlcipher::OpenError> for Fault {
    fn from(error: sqlcipher::OpenError) -> Self {
        match error {
            sqlcipher::OpenError::WrongKeyOrNotADatabase
            | sqlcipher::OpenError::Damaged
            | sqlcipher::OpenError::WrongApplication { .. } => {
                Self::Damaged("the database file, or its key,")
            }
            sqlcipher::OpenError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::DiskFull
            }
            sqlcipher::OpenError::Io(error) => Self::Disk(error.to_string()),
            other => Self::Io(other.to_string()),
        }
    }
}

impl From<sqlcipher::CopyError> for Fault {
    fn from(error: sqlcipher::CopyError) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            Self::DiskFull
        } else {
            Self::Io(error.kind().to_string())
        }
    }
}

impl From<kms::aead::AeadError> for Fault {
    fn from(_: kms::aead::AeadError) -> Self {
        Self::Damaged("a sealed value, or its key,")
    }
}

impl From<kms::KmsError> for Fault {
    fn from(error: kms::KmsError) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<store_core::Fault> for Fault {
    fn from(fault: store_core::Fault) -> Self {
        match fault {
            store_core::Fault::Answer(answer) => Self::Answer(answer),
            store_core::Fault::Damaged(what) => Self::Damaged(what),
            store_core::Fault::Keys(text) => Self::Io(text),
        }
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
            Fault::Damaged(_)
            | Fault::KeyGone
            | Fault::WrongTenant
            | Fault::ForeignCredential(_)
            | Fault::NewerSchema => {
                tracing::error!(%fault, "a tenant's store is out of service");
                Self::TenantUnavailable
            }
            Fault::Stopped
            | Fault::Renumber
            | Fault::Sqlite(_)
            | Fault::DiskFull
            | Fault::Disk(_)
            | Fault::Io(_) => {
                tracing::error!(%fault, "the store could not carry out a call");
                Self::Unavailable
            }
        }
    }
}
