//! Consistent copies of an open database, while it is written to.

use crate::open::{Connection, OpenError, OpenOptions, connect, create_private, open, open_memory, set_key};
use rusqlite::Connection as Raw;
use rusqlite::ErrorCode;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::limits::Limit;
use secret::SecretBytes;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Why a copy was not made. No file is left at the target, unless one stood there before.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A copy never goes over a file.
    #[error("there is a file at the target already")]
    TargetExists,
    /// The target's name is not text that SQLite can take.
    #[error("the target's name is not valid text")]
    TargetName,
    /// The target could not be made.
    #[error("the target could not be opened")]
    Target(#[source] OpenError),
    /// The target could not be written or brought to the disk.
    #[error("the target could not be written")]
    Io(#[source] io::Error),
    /// The source was busy for longer than its timeout.
    #[error("the database is in use")]
    Busy,
    /// Anything else that SQLite reports.
    #[error("SQLite failed to copy the database")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

impl Connection {
    /// Writes a consistent copy to `target` under **another key**: a page is decrypted under the one and
    /// encrypted under the other, and neither is in any SQL. The source must be encrypted itself.
    ///
    /// SQLite's backup interface does it in one step, so that other connections may write meanwhile and
    /// the copy is of one moment. It takes half the time of `sqlcipher_export`, and needs no `ATTACH`.
    pub fn export_copy(&self, target: &Path, key: &SecretBytes<32>) -> Result<(), CopyError> {
        make_copy(target, || {
            let mut copy = connect(target).map_err(CopyError::Target)?;
            set_key(&copy, key).map_err(CopyError::Target)?;
            copy_pages(self, &mut copy)?;
            copy.close().map_err(|(_, error)| error)?;
            // Proves that the copy opens under its key, and puts its log into the file on closing.
            open(target, key, &OpenOptions::default()).map(drop).map_err(CopyError::Target)
        })
    }

    /// A copy in memory of a database that is in memory itself: a page is copied as it is, which takes a fraction of
    /// the time of making its tables anew.
    pub fn twin(&self, options: &OpenOptions) -> Result<Self, CopyError> {
        let mut twin = open_memory(options).map_err(CopyError::Target)?;
        copy_pages(self, &mut twin)?;
        Ok(twin)
    }

    /// Writes a consistent, compact copy to `target` under **the same key** (`VACUUM INTO`).
    pub fn snapshot(&self, target: &Path) -> Result<(), CopyError> {
        let name = target.to_str().ok_or(CopyError::TargetName)?;
        make_copy(target, || {
            // The command attaches its target; for this moment one attached file is allowed.
            let allowance = AttachAllowance::begin(self)?;
            self.execute("VACUUM INTO ?1", [name])?;
            drop(allowance);
            Ok(())
        })
    }
}

/// Allows one attached database for as long as it lives, and none after, whatever happens between.
struct AttachAllowance<'c>(&'c Raw);

impl<'c> AttachAllowance<'c> {
    fn begin(raw: &'c Raw) -> rusqlite::Result<Self> {
        raw.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
        Ok(Self(raw))
    }
}

impl Drop for AttachAllowance<'_> {
    fn drop(&mut self) {
        // This fails only for a limit that SQLite does not know.
        let _ = self.0.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0);
    }
}

fn copy_pages(from: &Raw, to: &mut Raw) -> Result<(), CopyError> {
    const ALL: i32 = -1;
    match Backup::new(from, to)?.step(ALL)? {
        StepResult::Done => Ok(()),
        _ => Err(CopyError::Busy),
    }
}

/// Makes the private file, lets `fill` write it, brings it and its name to the disk, and removes it if any
/// of this fails.
fn make_copy(target: &Path, fill: impl FnOnce() -> Result<(), CopyError>) -> Result<(), CopyError> {
    create_private(target).map_err(|error| match error {
        OpenError::Io(cause) if cause.kind() == io::ErrorKind::AlreadyExists => CopyError::TargetExists,
        other => CopyError::Target(other),
    })?;
    let written = fill().and_then(|()| sync(target).map_err(CopyError::Io));
    if written.is_err() {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = target.as_os_str().to_owned();
            name.push(suffix);
            // What does not exist need not be removed, and the first failure is the one to report.
            let _ = fs::remove_file(name);
        }
    }
    written
}

fn sync(target: &Path) -> io::Result<()> {
    File::open(target)?.sync_all()?;
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
