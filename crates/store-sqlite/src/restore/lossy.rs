//! Restoring where the present file cannot be read, and the operator accepts what is lost with it.
//!
//! The backup is brought forward by what the journal still has. Events of the audit log that it has and that
//! do not follow the backup's last one cannot be linked to it, so the log ends where it is whole and another
//! begins under the next epoch: whoever holds a checkpoint of the ended one sees what is missing.

use crate::error::Fault;
use crate::journal::JournalKey;
use crate::platform::Platform;
use crate::rows::{Cell, RowChange, Table};
use crate::tenant::TenantHandle;
use crate::tree::LogBase;
use sqlcipher::{Connection, params};
use std::collections::HashSet;

/// How many journal entries are read at once.
const ENTRIES_AT_ONCE: u32 = 500;

pub(super) struct Lossy<'a> {
    pub(super) handle: &'a TenantHandle,
    pub(super) platform: &'a Platform,
    /// The ids of the credentials that the index has for the tenant.
    pub(super) known: &'a HashSet<String>,
}

impl Lossy<'_> {
    /// Brings the staged tables forward; gives back the epoch of the log that begins.
    pub(super) fn fill(&self, staged: &Connection) -> Result<u64, Fault> {
        self.fold_what_is_left(staged)?;
        self.agree_on_credentials(staged)?;
        self.platform.begin_log(self.handle.id)
    }

    fn fold_what_is_left(&self, staged: &Connection) -> Result<(), Fault> {
        let (keys, journal) = (self.handle.keys(), self.handle.journal());
        let log = LogBase::of(keys.log().origin().epoch);
        let mut folded: u64 = staged.query_row("SELECT through FROM folded", [], |row| row.get(0))?;
        loop {
            let entries = journal.entries(self.handle.id, folded, ENTRIES_AT_ONCE)?;
            let Some(last) = entries.last().map(|entry| entry.number) else { return Ok(()) };
            for entry in &entries {
                let key = JournalKey::derive(keys.data(), self.handle.id, entry.segment);
                for row in key.open(&entry.sealed)? {
                    if follows(&row, log.row(log.size(staged)?)) {
                        row.apply(staged)?;
                    }
                }
            }
            staged.execute("UPDATE folded SET through = ?1", params![last])?;
            folded = last;
        }
    }

    /// The restored tables and the index name the same keys: one that the tables do not have could be seen and
    /// revoked by nobody, and one that the index does not have was revoked.
    fn agree_on_credentials(&self, staged: &Connection) -> Result<(), Fault> {
        let mut select = staged.prepare("SELECT id FROM object WHERE kind IN ('api_key', 'signing_key')")?;
        let ids = select.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        for id in ids.iter().filter(|id| !self.known.contains(*id)) {
            let remove = "DELETE FROM object WHERE kind IN ('api_key', 'signing_key') AND id = ?1";
            staged.execute(remove, params![id])?;
        }
        let mut hooks =
            staged.prepare("SELECT json_extract(body, '$.hook.id') FROM object WHERE kind = 'workflow'")?;
        let hooks = hooks.query_map([], |row| row.get(0))?.collect::<Result<Vec<Option<String>>, _>>()?;
        let kept: HashSet<String> = ids.into_iter().chain(hooks.into_iter().flatten()).collect();
        let unseen: Vec<_> = self.known.iter().filter(|id| !kept.contains(*id)).cloned().collect();
        self.platform.remove_subjects(self.handle.id, &unseen)
    }
}

/// Whether a row can be applied: an event must be the next of its log.
fn follows(row: &RowChange, next: u64) -> bool {
    match row {
        RowChange::Put(Table::AuditEvent, cells) => {
            matches!(cells.first(), Some(Cell::Integer(number)) if u64::try_from(*number) == Ok(next))
        }
        _ => true,
    }
}
