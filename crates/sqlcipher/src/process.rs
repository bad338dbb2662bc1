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
    /// SQLCipher did not take its own settings.
    #[error("SQLCipher refused its process-wide settings")]
    Cipher,
}

/// Sets the engine up: no global memory statistics, which would take one mutex for every allocation of
/// every tenant; no `file:` names, so that a path is only ever a path; SQLCipher's log off, since it
/// writes to standard error by itself; pages authenticated with HMAC-SHA-256, for which processors have
/// instructions, and not with SHA-512, for which few have. Every `open` calls it; calling it again does nothing.
pub fn init() -> Result<(), SetUpError> {
    static OUTCOME: OnceLock<Result<(), SetUpError>> = OnceLock::new();
    *OUTCOME.get_or_init(set_up)
}

fn set_up() -> Result<(), SetUpError> {
    match ffi::configure_engine() {
        rusqlite::ffi::SQLITE_OK => {}
        code => return Err(SetUpError::Refused(code)),
    }
    let settle_cipher = || {
        Connection::open_in_memory()?.execute_batch(
            "PRAGMA cipher_log = off; PRAGMA cipher_log_level = NONE;
             PRAGMA cipher_default_hmac_algorithm = HMAC_SHA256;",
        )
    };
    settle_cipher().map_err(|_| SetUpError::Cipher)
}

#[cfg(test)]
mod tests {
    use crate::{OpenOptions, open};
    use secret::SecretBytes;

    #[test]
    fn pages_are_authenticated_with_what_processors_have_instructions_for() {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretBytes::fill_with(|bytes| bytes.fill(1));
        let options = OpenOptions { create: true, ..OpenOptions::default() };
        let database = open(&folder.path().join("one.db"), &key, &options).unwrap();
        let told = |pragma: &str| database.query_row(pragma, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(told("PRAGMA cipher_use_hmac"), "1");
        assert_eq!(told("PRAGMA cipher_hmac_algorithm"), "HMAC_SHA256");
    }
}
