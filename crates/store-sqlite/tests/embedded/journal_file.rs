//! The journal's file as anyone with the disk can read and change it.

use ids::{Id, TenantId};
use sqlcipher::{Connection, OpenOptions, params};
use std::path::Path;

/// A second connection to the journal of the region `local`.
pub struct JournalFile(Connection);

impl JournalFile {
    /// Opens the journal in a data folder.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join("regions/local/journal.db");
        Self(sqlcipher::open_plain(&path, &OpenOptions::default()).unwrap())
    }

    /// How many entries of a tenant there are.
    pub fn entries_of(&self, tenant: TenantId) -> u64 {
        let count = "SELECT count(*) FROM entry WHERE tenant = ?1";
        self.0.query_row(count, params![tenant.to_bytes()], |row| row.get(0)).unwrap()
    }

    /// The lowest number of an entry.
    pub fn first_number(&self) -> u64 {
        self.0.query_row("SELECT min(number) FROM entry", [], |row| row.get(0)).unwrap()
    }

    /// The highest number of an entry.
    pub fn last_number(&self) -> u64 {
        self.0.query_row("SELECT max(number) FROM entry", [], |row| row.get(0)).unwrap()
    }

    /// Changes rows, and tells how many.
    pub fn change(&self, statement: &str, values: &[&dyn sqlcipher::ToSql]) -> usize {
        self.0.execute(statement, values).unwrap()
    }
}
