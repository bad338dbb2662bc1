//! Writing a tenant's backup: a consistent copy of its file, sealed under a key derived from the tenant's
//! own, so that it opens for that tenant and no other.

use crate::error::Fault;
use crate::tenant::{LATEST, TenantHandle};
use env::Env;
use ids::BackupId;
use kms::stream::StreamError;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use store::StoreError;
use store_core::backup::{BackupError, Content, Manifest};

pub(crate) fn refused(detail: &str) -> Fault {
    Fault::Answer(StoreError::BackupRefused(detail.to_owned()))
}

impl From<BackupError> for Fault {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Io(error) => error.into(),
            BackupError::Refused(detail) => refused(&detail),
        }
    }
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        BackupError::from(error).into()
    }
}

/// Writes a backup to `target`, which must not be there yet. For blocking threads.
pub(crate) fn write(
    handle: &TenantHandle,
    generation: u64,
    target: &Path,
    env: &Env,
) -> Result<BackupId, Fault> {
    let _alone = handle.as_a_whole();
    handle.settle()?;
    let (size, _) = handle.checkpoint()?;
    let keys = handle.keys();
    let manifest = Manifest::new(env, handle.id, &keys, generation, size, Content::File, LATEST);
    let copy = handle.path().with_extension("backup.db");
    crate::files::remove_database(&copy)?;
    let mut output = Some(crate::files::create_private(target)?);
    let copied = handle.with_database(|database| {
        database.commit()?;
        Ok(database.connection.snapshot(&copy)?)
    });
    let written = copied.and_then(|()| {
        let output = output.take().ok_or(Fault::Damaged("a backup's target"))?;
        let mut sealing = manifest.begin(env, &keys, BufWriter::new(output))?;
        std::io::copy(&mut File::open(&copy)?, &mut sealing)?;
        let output = sealing
            .finish()
            .map_err(BackupError::from)?
            .into_inner()
            .map_err(|error| Fault::from(error.into_error()))?;
        output.sync_all()?;
        crate::files::sync_folder_of(target)
    });
    crate::files::remove_database(&copy)?;
    if written.is_err() {
        crate::files::remove_if_there(target)?;
    }
    written.map(|()| manifest.backup)
}
