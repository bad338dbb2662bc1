//! A tenant's open database, and how it catches up with the journal.

use super::openings::Openings;
use super::schema;
use crate::error::Fault;
use crate::journal::{Journal, JournalKey, Tail};
use crate::rows::{RowChange, apply_all};
use env::Timestamp;
use ids::{Id, TenantId};
use secret::SecretBytes;
use sqlcipher::{Connection, Executor, OptionalExtension, params};
use std::path::Path;
use std::sync::Arc;

/// How many journal entries are read at once.
const ENTRIES_AT_ONCE: u32 = 500;
/// How many pieces of work share a transaction of the tables. A commit enciphers every page that was touched,
/// and pieces that follow each other touch the same ones.
const PIECES_A_COMMIT: usize = 64;
/// How many rows may have changed by then, and how much memory the connection may hold: what was touched stays there
/// until the commit. Once that is more than the cache has room for, pages that are only looked at stay no longer than
/// the look, and are deciphered again for the next.
const ROWS_A_COMMIT: u64 = 2048;
const MEMORY_A_COMMIT: u64 = 8 << 20;

/// The tables lack what they had.
fn lost() -> Fault {
    Fault::Disk("it failed, and an open transaction was undone".into())
}

/// Where the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the tenant's file.
    File,
    /// In memory: the tenant has stored nothing yet that asks for a file.
    Memory,
}

/// A tenant's tables, caught up with the journal at every use.
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) home: Home,
    /// The tenant that the database itself says it is of.
    pub(crate) identity: TenantId,
    /// The last journal entry that the tables contain, as this connection sees them.
    pub(crate) folded: u64,
    /// Pieces in the open transaction. What a crash takes of it is in the journal.
    pieces: usize,
    /// How many rows the connection had changed when it began.
    changes: u64,
}

/// What opening needs to know.
pub(crate) struct Opening<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) file_key: &'a SecretBytes<32>,
    pub(crate) tenant_key: &'a SecretBytes<32>,
    pub(crate) path: &'a Path,
    pub(crate) journal: &'a Journal,
    pub(crate) tail: &'a Arc<Tail>,
    pub(crate) openings: &'a Openings,
    pub(crate) now: Timestamp,
}

impl Opening<'_> {
    /// Opens the tenant's file, or makes it where `create` says so, or else a view in memory.
    pub(crate) fn open(&self, create: bool) -> Result<Database, Fault> {
        let exists = self.path.exists();
        let opened = self.open_at(exists, create);
        if opened.is_err() && !exists && create {
            // The journal has all that was to go into it, and half a file would stand in the way of reading that.
            crate::files::remove_database(self.path)?;
        }
        opened
    }

    fn open_at(&self, exists: bool, create: bool) -> Result<Database, Fault> {
        let (connection, home) = if exists || create {
            let options = crate::sqlite::tenant_options(true);
            (sqlcipher::open(self.path, self.file_key, &options)?, Home::File)
        } else {
            (self.openings.empty_tables()?, Home::Memory)
        };
        connection.execute_batch("PRAGMA cache_spill = OFF")?;
        schema::migrate(&connection, || self.keep_copy(&connection))?;
        let identity = self.identify(&connection)?;
        if home == Home::File && !exists {
            crate::files::sync_folder_of(self.path)?;
        }
        let folded = connection.query_row("SELECT through FROM folded", [], |row| row.get(0))?;
        self.journal.number_beyond(folded)?;
        let mut database = Database { connection, home, identity, folded, pieces: 0, changes: 0 };
        self.tail.open();
        let caught_up = self.fold_journal(&mut database);
        if caught_up.is_err() {
            self.tail.close();
        }
        caught_up.map(|()| database)
    }

    /// Reads whose database this is; a new one is told.
    fn identify(&self, connection: &Connection) -> Result<TenantId, Fault> {
        let found = connection
            .query_row("SELECT tenant FROM identity", [], |row| row.get::<_, [u8; 16]>(0))
            .optional()?;
        let identity = match found {
            Some(bytes) => TenantId::from_bytes(bytes),
            None => {
                let values = params![self.tenant.to_bytes(), self.now.millis()];
                connection.execute("INSERT INTO identity VALUES(1, ?1, ?2)", values)?;
                self.tenant
            }
        };
        if identity == self.tenant { Ok(identity) } else { Err(Fault::WrongTenant) }
    }

    fn keep_copy(&self, connection: &Connection) -> Result<(), Fault> {
        let copy = self.path.with_extension("before-migration.db");
        crate::files::remove_if_there(&copy)?;
        Ok(connection.snapshot(&copy)?)
    }

    /// Opens the tenant's file to be read while nothing can be written to it: what the journal has beyond the
    /// tables is taken over in a transaction that stays in memory, and is undone with the connection.
    pub(crate) fn view(&self) -> Result<Database, Fault> {
        let connection = sqlcipher::open(self.path, self.file_key, &crate::sqlite::tenant_options(false))?;
        schema::migrate(&connection, || Err(Fault::DiskFull))?;
        connection.execute_batch("PRAGMA cache_spill = OFF; BEGIN IMMEDIATE")?;
        let identity = self.identify(&connection)?;
        let folded = connection.query_row("SELECT through FROM folded", [], |row| row.get(0))?;
        let mut database = Database { connection, home: Home::File, identity, folded, pieces: 0, changes: 0 };
        while let Some((rows, last)) = self.beyond(database.folded)? {
            fold(&database.connection, &rows, last)?;
            database.folded = last;
        }
        Ok(database)
    }

    /// Takes over everything that the journal has beyond the tables.
    fn fold_journal(&self, database: &mut Database) -> Result<(), Fault> {
        while let Some((rows, last)) = self.beyond(database.folded)? {
            database.begin()?;
            fold(&database.connection, &rows, last)?;
            database.folded = last;
            database.count_piece()?;
        }
        Ok(())
    }

    /// Rows of the next entries that the journal has after this one, and the last one's number.
    fn beyond(&self, folded: u64) -> Result<Option<(Vec<RowChange>, u64)>, Fault> {
        let entries = self.journal.entries(self.tenant, folded, ENTRIES_AT_ONCE)?;
        let Some(last) = entries.last().map(|entry| entry.number) else { return Ok(None) };
        let mut key: Option<(_, JournalKey)> = None;
        let mut rows = Vec::new();
        for entry in &entries {
            if key.as_ref().is_none_or(|(segment, _)| *segment != entry.segment) {
                let derived = JournalKey::derive(self.tenant_key, self.tenant, entry.segment);
                key = Some((entry.segment, derived));
            }
            if let Some((_, key)) = &key {
                rows.extend(key.open(&entry.sealed)?);
            }
        }
        Ok(Some((rows, last)))
    }
}

impl Database {
    /// Takes over the entries that became durable since the last use. Where this fails they are in the
    /// journal alone, so the database must be let go and opened anew.
    pub(crate) fn catch_up(&mut self, tail: &Tail) -> Result<(), Fault> {
        let waiting = tail.take(u64::MAX);
        let Some(last) = waiting.last().map(|(number, _)| *number) else { return Ok(()) };
        if last <= self.folded {
            return Ok(());
        }
        let folded = self.folded;
        let rows: Vec<_> =
            waiting.into_iter().filter(|(number, _)| *number > folded).flat_map(|(_, rows)| rows).collect();
        // Whoever calls lets the database go where this fails, so there is nothing to go back to.
        self.begin()?;
        fold(&self.connection, &rows, last)?;
        self.folded = last;
        self.count_piece()
    }

    /// Begins a transaction where none is open.
    fn begin(&mut self) -> Result<(), Fault> {
        if self.has_lost_pieces() {
            return Err(lost());
        }
        if self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.changes = self.connection.total_changes();
        }
        Ok(())
    }

    /// Begins a piece of work that can be undone.
    pub(crate) fn begin_piece(&mut self) -> Result<(), Fault> {
        self.begin()?;
        Ok(self.connection.execute_batch("SAVEPOINT piece")?)
    }

    /// Ends a piece of work.
    pub(crate) fn end_piece(&mut self) -> Result<(), Fault> {
        self.connection.execute_batch("RELEASE piece")?;
        self.count_piece()
    }

    /// Counts a piece of work; every now and then that commits.
    fn count_piece(&mut self) -> Result<(), Fault> {
        self.pieces += 1;
        let rows = self.connection.total_changes().saturating_sub(self.changes);
        let full = self.pieces >= PIECES_A_COMMIT || rows >= ROWS_A_COMMIT;
        if full || self.connection.memory_used() > MEMORY_A_COMMIT { self.commit() } else { Ok(()) }
    }

    /// Undoes the open piece of work. Where SQLite has undone the whole transaction this fails, unless the piece
    /// was the first.
    pub(crate) fn undo_piece(&self) -> Result<(), Fault> {
        match (self.connection.is_autocommit(), self.pieces) {
            (true, 0) => Ok(()),
            (true, _) => Err(lost()),
            (false, _) => Ok(self.connection.execute_batch("ROLLBACK TO piece; RELEASE piece")?),
        }
    }

    /// Commits what was done so far.
    pub(crate) fn commit(&mut self) -> Result<(), Fault> {
        if self.has_lost_pieces() {
            return Err(lost());
        }
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("COMMIT")?;
        }
        self.pieces = 0;
        Ok(())
    }

    /// Whether SQLite has undone the open transaction by itself, as it may where the disk fails it. What the
    /// tables have lost is in the journal.
    pub(crate) fn has_lost_pieces(&self) -> bool {
        self.pieces > 0 && self.connection.is_autocommit()
    }

    /// Brings the tables to the disk. After it, the journal may forget what they contain.
    pub(crate) fn sync(&mut self) -> Result<bool, Fault> {
        self.commit()?;
        Ok(self.home == Home::File && self.connection.checkpoint()?)
    }

    /// How many bytes the tables take.
    pub(crate) fn bytes(&self) -> Result<u64, Fault> {
        used_bytes(&self.connection)
    }
}

/// How many bytes a database's pages take, but for those that are free. A page size that was set by the
/// cipher reads as text, hence the cast.
pub(crate) fn used_bytes(tables: &Executor) -> Result<u64, Fault> {
    let mut select = tables.prepare_cached(
        "SELECT (pages.page_count - free.freelist_count) * CAST(size.page_size AS INTEGER)
         FROM pragma_page_count() pages, pragma_freelist_count() free, pragma_page_size() size",
    )?;
    Ok(select.query_row([], |row| row.get(0))?)
}

/// Applies rows and moves the mark of what is folded, in the caller's transaction.
pub(crate) fn fold(connection: &Connection, rows: &[RowChange], through: u64) -> Result<(), Fault> {
    apply_all(rows, connection)?;
    let mut mark = connection.prepare_cached("UPDATE folded SET through = ?1")?;
    mark.execute(params![through])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{fold, schema};
    use crate::rows::{Cell, RowChange, Table};
    use sqlcipher::Connection;

    fn tables() -> Connection {
        let tables = sqlcipher::open_memory(&crate::sqlite::tenant_options(true)).unwrap();
        schema::migrate(&tables, || Ok(())).unwrap();
        tables
    }

    fn step(id: &str, columns: &[&str]) -> RowChange {
        let mut cells = ["run_1", id].map(Cell::from).to_vec();
        cells.extend(columns.iter().map(|text| Cell::from(*text)));
        RowChange::Put(Table::Step, cells)
    }

    fn steps(tables: &Connection) -> Vec<(String, String, String)> {
        let mut select = tables.prepare("SELECT id, body, state FROM step ORDER BY id").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_row_ends_as_it_was_put_last() {
        let rows = [
            step("a", &["first", ""]),
            step("b", &["other", "on"]),
            RowChange::Delete(Table::Step, ["run_1", "a"].map(Cell::from).to_vec()),
            step("a", &["second", ""]),
            step("b", &["other", "over"]),
            step("a", &["third", "x"]),
            step("c", &["gone", ""]),
            RowChange::Delete(Table::Step, ["run_1", "c"].map(Cell::from).to_vec()),
        ];
        let (together, each) = (tables(), tables());
        fold(&together, &rows, 1).unwrap();
        rows.iter().for_each(|row| row.apply(&each).unwrap());
        let told = |id: &str, body: &str, state: &str| (id.to_owned(), body.to_owned(), state.to_owned());
        assert_eq!(steps(&together), [told("a", "third", "x"), told("b", "other", "over")]);
        assert_eq!(steps(&together), steps(&each));
    }

    #[test]
    fn a_row_of_an_earlier_version_is_taken_over() {
        let tables = tables();
        fold(&tables, &[step("a", &["body"])], 1).unwrap();
        assert_eq!(steps(&tables), [("a".to_owned(), "body".to_owned(), String::new())]);
    }
}
