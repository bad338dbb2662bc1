//! What is set once for the whole process, before SQLite opens its first file.

use crate::ffi;
use rusqlite::Connection;
use std::sync::OnceLock;

/// The engine could not be set up as this crate needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetUpError {
    /// SQLite was started by someone else before, with settings that are not ours.
    #[error("SQLite refused its process-wide settings (result code {0})")]
    Refused(i32),
    /// SQLCipher's own log, which writes to standard error, could not be turned off.
    #[error("SQLCipher's log could not be turned off")]
    Log,
}

/// Sets the engine up: no global memory statistics, which would take one mutex for every allocation of
/// every tenant; no `file:` names, so that a path is only ever a path; SQLCipher's log off, since it
/// writes to standard error by itself. Every `open` calls it; calling it again does nothing.
pub fn init() -> Result<(), SetUpError> {
    static OUTCOME: OnceLock<Result<(), SetUpError>> = OnceLock::new();
    *OUTCOME.get_or_init(set_up)
}

fn set_up() -> Result<(), SetUpError> {
    match ffi::configure_engine() {
        rusqlite::ffi::SQLITE_OK => {}
        code => return Err(SetUpError::Refused(code)),
    }
    let silence = || {
        Connection::open_in_memory()?
            .execute_batch("PRAGMA cipher_log = off; PRAGMA cipher_log_level = NONE;")
    };
    silence().map_err(|_| SetUpError::Log)
}
