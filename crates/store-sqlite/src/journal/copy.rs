//! The journal as it was at one moment, copied while it is written to.

use super::{Journal, Request, SCHEMA, Shared};
use crate::error::Fault;
use ids::{Id, TenantId};
use sqlcipher::{Connection, params};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

/// While this is there the journal forgets nothing.
pub(crate) struct Hold(Arc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::SeqCst);
    }
}

/// While this is there the journal's writer writes nothing. For an instant alone: every tenant waits.
pub(crate) struct Pause(
    #[expect(dead_code, reason = "the writer goes on when it is dropped")] mpsc::Sender<()>,
);

/// The journal as it was at one moment.
pub(crate) struct Snapshot(Connection);

impl Journal {
    /// Forgets nothing from here on, until the hold is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.shared.holds.fetch_add(1, Ordering::SeqCst);
        Hold(self.shared.clone())
    }

    /// Lets the writer stand still between two transactions. For blocking threads.
    pub(crate) fn pause(&self) -> Result<Pause, Fault> {
        let (reached, stands) = mpsc::channel();
        let (holding, go_on) = mpsc::channel();
        self.send(Request::Pause(reached, go_on));
        stands.recv().map_err(|_| Fault::Stopped)?;
        Ok(Pause(holding))
    }

    /// A connection for [`Snapshot`], opened before the moment, since opening takes its time.
    pub(crate) fn for_snapshot(&self) -> Result<Connection, Fault> {
        Ok(sqlcipher::open_plain(&self.path, &crate::sqlite::journal_options(false))?)
    }
}

impl Snapshot {
    /// What the journal has now, whatever is written after.
    pub(crate) fn begin(connection: Connection) -> Result<Self, Fault> {
        connection.execute_batch("BEGIN")?;
        // The transaction begins with what it reads first.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(Self(connection))
    }

    /// Writes a journal with the entries that are beyond what copies of tenants' files have folded.
    pub(crate) fn copy(&self, target: &Path, folded: &HashMap<TenantId, u64>) -> Result<(), Fault> {
        let copy = sqlcipher::open_plain(target, &crate::sqlite::journal_options(false))?;
        copy.execute_batch(SCHEMA)?;
        copy.execute_batch("BEGIN IMMEDIATE")?;
        self.copy_entries(&copy, folded)?;
        self.copy_work(&copy)?;
        copy.execute_batch("COMMIT")?;
        let whole = copy.checkpoint()?;
        copy.close()?;
        if whole { Ok(()) } else { Err(Fault::Io("a write-ahead log that could not be emptied".into())) }
    }

    fn copy_entries(&self, copy: &Connection, folded: &HashMap<TenantId, u64>) -> Result<(), Fault> {
        let mut select =
            self.0.prepare("SELECT number, tenant, segment, sealed FROM entry ORDER BY number")?;
        let mut insert =
            copy.prepare("INSERT INTO entry(number, tenant, segment, sealed) VALUES(?1, ?2, ?3, ?4)")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (number, tenant): (u64, [u8; 16]) = (row.get(0)?, row.get(1)?);
            if folded.get(&TenantId::from_bytes(tenant)).is_none_or(|through| number > *through) {
                let (segment, sealed): ([u8; 16], Vec<u8>) = (row.get(2)?, row.get(3)?);
                insert.execute(params![number, tenant, segment, sealed])?;
            }
        }
        // Numbers that were given out are not given out again.
        let below: u64 = self.0.query_row("SELECT below FROM numbers", [], |row| row.get(0))?;
        copy.execute("UPDATE numbers SET below = ?1", params![below])?;
        Ok(())
    }

    fn copy_work(&self, copy: &Connection) -> Result<(), Fault> {
        let mut select = self.0.prepare("SELECT tenant, kind, id, due FROM work")?;
        let mut insert = copy.prepare("INSERT INTO work(tenant, kind, id, due) VALUES(?1, ?2, ?3, ?4)")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (tenant, kind): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
            let (id, due): ([u8; 16], Option<i64>) = (row.get(2)?, row.get(3)?);
            insert.execute(params![tenant, kind, id, due])?;
        }
        Ok(())
    }
}
