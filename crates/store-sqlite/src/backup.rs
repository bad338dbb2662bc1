//! Writing a tenant's backup: a consistent copy of its file, sealed under a key derived from the tenant's
//! own, so that it opens for that tenant and no other.

use crate::error::Fault;
use crate::keys::BACKUP;
use crate::tenant::{LATEST, TenantHandle};
use env::{Env, Timestamp};
use ids::{BackupId, TenantId};
use kms::stream::{SealingStream, StreamError};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use store::StoreError;

/// What a backup says of itself. Readable by anyone, and authenticated with every part of the content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) tenant: TenantId,
    pub(crate) backup: BackupId,
    pub(crate) generation: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) schema: u32,
    pub(crate) audit_events: u64,
    /// The name of the data key that it is sealed under.
    pub(crate) key: String,
}

pub(crate) const FORMAT: u32 = 1;

pub(crate) fn refused(detail: &str) -> Fault {
    Fault::Answer(StoreError::BackupRefused(detail.to_owned()))
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => error.into(),
            other => refused(&format!("The backup cannot be opened: {other}.")),
        }
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
    let manifest = Manifest {
        format: FORMAT,
        tenant: handle.id,
        backup: env.id(),
        generation,
        created_at: env.now(),
        schema: LATEST,
        audit_events: size,
        key: handle.keys().data_name().to_owned(),
    };
    let copy = handle.path().with_extension("backup.db");
    crate::files::remove_database(&copy)?;
    let mut output = Some(crate::files::create_private(target)?);
    let copied = handle.with_database(|database| {
        database.commit()?;
        Ok(database.connection.snapshot(&copy)?)
    });
    let written = copied.and_then(|()| {
        let header = serde_json::to_vec(&manifest).map_err(|_| Fault::Damaged("a manifest"))?;
        let output = output.take().ok_or(Fault::Damaged("a backup's target"))?;
        let mut sealing =
            SealingStream::begin(BufWriter::new(output), env, handle.keys().data(), &BACKUP, &header)?;
        std::io::copy(&mut File::open(&copy)?, &mut sealing)?;
        let output = sealing.finish()?.into_inner().map_err(|error| Fault::from(error.into_error()))?;
        output.sync_all()?;
        crate::files::sync_folder_of(target)
    });
    crate::files::remove_database(&copy)?;
    if written.is_err() {
        crate::files::remove_if_there(target)?;
    }
    written.map(|()| manifest.backup)
}
