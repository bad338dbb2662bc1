//! A tenant's file as it rests: what it has folded, and a copy of it. Nothing more is folded for either, since
//! the journal's copy has the rest.

use super::Database;
use super::database::Home;
use super::handle::TenantHandle;
use crate::error::Fault;
use std::path::Path;

/// What a tenant's file was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AtRest {
    /// The last journal entry that it contains; `None` where it cannot be read.
    pub(crate) folded: Option<u64>,
    /// The name of the data key that it is under.
    pub(crate) key: String,
}

impl TenantHandle {
    /// What the file is, or `None` where the tenant has none; and a copy of it where a target is given and
    /// `wanted` says so. Calls of the tenant wait meanwhile. For blocking threads.
    pub(crate) fn copy_at_rest(
        &self,
        target: &Path,
        wanted: impl FnOnce(&AtRest) -> bool,
    ) -> Result<Option<(AtRest, bool)>, Fault> {
        let mut slot = self.database.lock();
        self.still_here()?;
        if slot.as_ref().is_some_and(Database::has_lost_pieces) {
            self.let_go(&mut slot);
        }
        let key = self.keys().data_name().to_owned();
        let open = slot.as_mut().filter(|database| database.home == Home::File);
        let folded = match open {
            Some(database) => {
                database.commit()?;
                Some(database.folded)
            }
            None if !self.path.exists() => return Ok(None),
            None => self.folded_of_closed(),
        };
        let found = AtRest { folded, key };
        let wanted = wanted(&found);
        if wanted {
            let whole =
                slot.as_mut().map_or(Ok(true), |database| Ok::<_, Fault>(database.connection.checkpoint()?));
            if !whole? {
                return Err(Fault::Io("a write-ahead log that could not be emptied".into()));
            }
            // Closed, it is one file, and nobody's locks on it are lost by reading it.
            self.let_go(&mut slot);
            std::fs::copy(&self.path, target)?;
        }
        Ok(Some((found, wanted)))
    }

    /// What a file that nobody has open has folded; its log is put into it. `None` where it cannot be read: a
    /// damaged file is kept as it is.
    fn folded_of_closed(&self) -> Option<u64> {
        let read = || -> Result<u64, Fault> {
            let options = crate::sqlite::tenant_options(false);
            let connection = sqlcipher::open(&self.path, self.keys().content(), &options)?;
            let folded = connection.query_row("SELECT through FROM folded", [], |row| row.get(0))?;
            if !connection.checkpoint()? {
                return Err(Fault::Io("a write-ahead log that could not be emptied".into()));
            }
            connection.close()?;
            Ok(folded)
        };
        read()
            .inspect_err(
                |fault| tracing::error!(tenant.id = %self.id, %fault, "a tenant's file cannot be read"),
            )
            .ok()
    }
}
