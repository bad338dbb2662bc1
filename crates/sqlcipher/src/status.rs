//! The numbers in a file's header, and what an open handle holds in memory.

use crate::ffi;
use crate::open::Connection;
use rusqlite::Connection as Executor;

/// The number that says which application's file this is; 0 where none was set.
pub fn application_id(executor: &Executor) -> rusqlite::Result<i32> {
    executor.query_row("PRAGMA application_id", (), |row| row.get(0))
}

/// Sets the number that says which application's file this is.
pub fn set_application_id(executor: &Executor, id: i32) -> rusqlite::Result<()> {
    executor.execute_batch(&format!("PRAGMA application_id = {id}"))
}

/// The version of the schema, as the last migration left it; 0 in a new file.
pub fn user_version(executor: &Executor) -> rusqlite::Result<u32> {
    executor.query_row("PRAGMA user_version", (), |row| row.get(0))
}

/// Sets the version of the schema. Inside a transaction it takes effect with its commit.
pub fn set_user_version(executor: &Executor, version: u32) -> rusqlite::Result<()> {
    executor.execute_batch(&format!("PRAGMA user_version = {version}"))
}

impl Connection {
    /// Closes the handle, and tells where dropping it would keep silent about a failure.
    pub fn close(self) -> rusqlite::Result<()> {
        self.into_inner().close().map_err(|(_, error)| error)
    }

    /// Gives back what can be read again: prepared statements and clean pages. For a handle that idles.
    pub fn release_memory(&self) -> rusqlite::Result<()> {
        self.flush_prepared_statement_cache();
        let executor: &Executor = self;
        executor.release_memory()
    }

    /// Bytes of heap that this handle holds for pages, schema and statements.
    pub fn memory_used(&self) -> u64 {
        ffi::memory_used(self)
    }

    /// Moves the write-ahead log into the file and empties it. Whether it could do so wholly, which it
    /// cannot while another connection reads.
    pub fn checkpoint(&self) -> rusqlite::Result<bool> {
        let blocked: i64 = self.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
        Ok(blocked == 0)
    }

    /// Moves what of the write-ahead log nobody needs any more into the file, and waits for nobody.
    pub fn checkpoint_what_is_free(&self) -> rusqlite::Result<()> {
        self.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
    }

    /// Has a commit move the log into the file once it has so many pages.
    pub fn checkpoint_from(&self, pages: u32) -> rusqlite::Result<()> {
        self.pragma_update(None, "wal_autocheckpoint", pages)
    }
}
