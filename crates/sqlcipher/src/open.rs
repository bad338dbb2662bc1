//! Opening: the key, then the same settings for every handle.

use crate::ffi;
use crate::process::{SetUpError, init};
use crate::status::{application_id, set_application_id};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection as Raw, ErrorCode, OpenFlags};
use secret::SecretBytes;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

/// Why a file did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no file, and none was to be made.
    #[error("there is no such database file")]
    NotFound,
    /// The file does not decrypt under this key: it is under another key or none, its first page is
    /// damaged, or it is no database. The cipher cannot tell these apart.
    #[error("the key is wrong or the file is not a database")]
    WrongKeyOrNotADatabase,
    /// The file is a database under this key, and its content is damaged or cut off.
    #[error("the database file is damaged")]
    Damaged,
    /// The file is a database of another application or another kind.
    #[error("the database has the application id {found:#010x}, not {expected:#010x}")]
    WrongApplication {
        /// The id that the caller asked for.
        expected: i32,
        /// The id in the file.
        found: i32,
    },
    /// Another connection held the file for longer than the busy timeout.
    #[error("the database is in use")]
    Busy,
    /// The file could not be made, read or written.
    #[error("the database file could not be read or written")]
    Io(#[source] io::Error),
    /// The process-wide settings did not take.
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    /// Anything else that SQLite reports.
    #[error("SQLite failed to open the database")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::WrongKeyOrNotADatabase,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Io(io::Error::new(io::ErrorKind::StorageFull, error)),
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure,
            ) => Self::Io(io::Error::other(error)),
            _ => Self::Sqlite(error),
        }
    }
}

/// What a commit waits for (`PRAGMA synchronous`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Until the disk has it: what was committed survives a power loss.
    Full,
    /// Until the operating system has it: a power loss may take the last commits, a crash of the process
    /// does not, and the file stays consistent after either.
    Normal,
}

/// How a file is opened. These settings are the same for all and are no options: write-ahead log,
/// foreign keys on, deleted content overwritten, temporary tables in memory, cell sizes checked, no memory
/// map, no trust in functions named by the schema, the schema not writable, `"text"` not taken for a
/// string, and no `ATTACH`.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Make the file, readable for its owner only, if it does not exist.
    pub create: bool,
    /// Written into a new file, and demanded of an existing one (`PRAGMA application_id`).
    pub application_id: Option<i32>,
    /// What a commit waits for.
    pub durability: Durability,
    /// How long a statement waits for another connection.
    pub busy_timeout: Duration,
    /// The most memory that decrypted pages may take, in KiB.
    pub cache_kib: u32,
    /// Bytes that the write-ahead log is cut back to after a checkpoint.
    pub journal_size_limit: u32,
    /// How many prepared statements are kept.
    pub statement_cache: usize,
    /// Take the file for this connection alone while it is open. Spares the shared-memory file, thus a
    /// descriptor and some time at opening.
    pub exclusive: bool,
    /// Overwrite what is deleted, also where a page would not be written otherwise.
    pub overwrite_deleted: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            application_id: None,
            durability: Durability::Full,
            busy_timeout: Duration::from_secs(5),
            cache_kib: 2048,
            journal_size_limit: 4 << 20,
            statement_cache: 64,
            exclusive: false,
            overwrite_deleted: true,
        }
    }
}

/// An open database in the state that [`OpenOptions`] describes.
#[derive(Debug)]
pub struct Connection(Raw);

impl Connection {
    pub(crate) fn into_inner(self) -> Raw {
        self.0
    }
}

impl Deref for Connection {
    type Target = Raw;

    fn deref(&self) -> &Raw {
        &self.0
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Raw {
        &mut self.0
    }
}

/// Opens the file at `path`, encrypted under `key`.
pub fn open(path: &Path, key: &SecretBytes<32>, options: &OpenOptions) -> Result<Connection, OpenError> {
    open_file(path, Some(key), options)
}

/// Opens the file at `path` without a key, for content that is sealed before it is stored.
pub fn open_plain(path: &Path, options: &OpenOptions) -> Result<Connection, OpenError> {
    open_file(path, None, options)
}

/// A new database in memory, without a key and with the same settings, for tests and for temporary work.
pub fn open_memory(options: &OpenOptions) -> Result<Connection, OpenError> {
    init()?;
    let raw =
        Raw::open_in_memory_with_flags(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    guard(&raw, options)?;
    set_pragmas(&raw, options)?;
    identify(&raw, options)?;
    Ok(Connection(raw))
}

fn open_file(
    path: &Path,
    key: Option<&SecretBytes<32>>,
    options: &OpenOptions,
) -> Result<Connection, OpenError> {
    init()?;
    prepare_file(path, options.create)?;
    let raw = connect(path)?;
    settle(&raw, key, options)?;
    Ok(Connection(raw))
}

/// A handle in SQLite's own state: no key, no settings.
pub(crate) fn connect(path: &Path) -> Result<Raw, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    Ok(Raw::open_with_flags(path, flags)?)
}

/// Brings a fresh handle on a file into the state that [`OpenOptions`] describes.
pub(crate) fn settle(
    raw: &Raw,
    key: Option<&SecretBytes<32>>,
    options: &OpenOptions,
) -> Result<(), OpenError> {
    if let Some(key) = key {
        set_key(raw, key)?;
    }
    guard(raw, options)?;
    if options.exclusive {
        // Before the first read, or else the shared-memory file is made all the same.
        raw.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    // The first read shows whether the key is right; nothing may be written before it.
    raw.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    let mode: String = raw.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Io(io::Error::other("the file system does not allow a write-ahead log")));
    }
    set_pragmas(raw, options)?;
    identify(raw, options)
}

/// Gives a fresh handle its key.
pub(crate) fn set_key(raw: &Raw, key: &SecretBytes<32>) -> Result<(), OpenError> {
    ffi::set_key(raw, key)
        .map_err(|code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into())
}

/// Makes the file where it is to be made. An empty file where data should be is a loss, not a new database.
fn prepare_file(path: &Path, create: bool) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(found) if found.len() == 0 && !create => Err(OpenError::Damaged),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => create_private(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::NotFound),
        Err(error) => Err(OpenError::Io(error)),
    }
}

/// Makes an empty file that its owner alone may read. SQLite gives its log and index the same mode.
pub(crate) fn create_private(path: &Path) -> Result<(), OpenError> {
    let mut file = fs::OpenOptions::new();
    file.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(path).map(drop).map_err(OpenError::Io)
}

/// What holds before the first statement runs, so that nothing in the file can make use of it.
fn guard(raw: &Raw, options: &OpenOptions) -> Result<(), rusqlite::Error> {
    raw.busy_timeout(options.busy_timeout)?;
    raw.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
    ] {
        raw.set_db_config(setting, on)?;
    }
    raw.set_prepared_statement_cache_capacity(options.statement_cache);
    Ok(())
}

fn set_pragmas(raw: &Raw, options: &OpenOptions) -> Result<(), rusqlite::Error> {
    let synchronous = match options.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    raw.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA cache_size = -{};
         PRAGMA journal_size_limit = {};
         PRAGMA secure_delete = {};
         PRAGMA temp_store = MEMORY;
         PRAGMA cell_size_check = ON;
         PRAGMA mmap_size = 0;",
        options.cache_kib,
        options.journal_size_limit,
        if options.overwrite_deleted { "ON" } else { "FAST" }
    ))
}

/// Writes the application id into a database that is still empty, and checks that of any other. A crash
/// between making the file and writing the id leaves an empty database, which is taken up again.
fn identify(raw: &Raw, options: &OpenOptions) -> Result<(), OpenError> {
    let Some(expected) = options.application_id else { return Ok(()) };
    let found = application_id(raw)?;
    if found == expected {
        return Ok(());
    }
    let empty: bool =
        raw.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", (), |row| row.get(0))?;
    if found == 0 && empty && (options.create || raw.path().is_none_or(str::is_empty)) {
        return Ok(set_application_id(raw, expected)?);
    }
    Err(OpenError::WrongApplication { expected, found })
}
