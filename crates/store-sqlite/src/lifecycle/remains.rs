//! What is left of a tenant that is erased: its files, and what is told of each place.

use crate::error::Fault;
use crate::files::remove_database;
use std::path::Path;
use store::ErasedPlace;

/// Removes the tenant's file and every copy that this program makes beside it.
pub(super) fn remove_files(path: &Path) -> Result<usize, Fault> {
    let mut removed = 0;
    for name in ["db", "before-migration.db", "backup.db", "restore.db", "rekeyed.db", "arriving.db"] {
        removed += usize::from(remove_database(&path.with_extension(name))?);
    }
    crate::files::sync_folder_of(path)?;
    Ok(removed)
}

pub(super) fn places(lines: usize, emptied: bool, entries: u64, removed: usize) -> Vec<ErasedPlace> {
    let place = |place: &str, done: String, older_copies: &str| ErasedPlace {
        place: place.to_owned(),
        done,
        older_copies: older_copies.to_owned(),
    };
    let log = if emptied {
        "its write-ahead log was emptied"
    } else {
        "its write-ahead log is emptied with the next checkpoint"
    };
    vec![
        place(
            "credential_index",
            format!("{lines} credentials were removed; none is accepted any more"),
            "an older copy of the platform store lists their keyed hashes, which open nothing",
        ),
        place(
            "platform_store",
            format!("the tenant's wrapped keys were destroyed and overwritten; {log}"),
            "an older copy of the platform store together with the master key opens whatever older copies of \
             the tenant's file, journal and backups exist, until the last of those copies is gone",
        ),
        place(
            "node_journal",
            format!("{entries} sealed entries were removed and overwritten"),
            "an older copy holds entries sealed under the destroyed key",
        ),
        place(
            "tenant_file",
            format!("{removed} files were removed"),
            "an older copy or backup is encrypted under the destroyed key; flash storage may keep overwritten \
             pages, also under that key",
        ),
        place("memory", "the tenant's keys were wiped from memory and its database closed".into(), "none"),
    ]
}
