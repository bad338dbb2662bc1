//! The container of a tenant's backup: a manifest that anyone can read, and content sealed under a key derived
//! from the tenant's own, so that it opens for that tenant and no other. What the content is differs by
//! backend; what is refused before any of it is looked at does not.

use crate::keys::{BACKUP, TenantKeys};
use env::{Env, Timestamp};
use ids::{BackupId, TenantId};
use kms::stream::{ClaimedStream, OpenedStream, SealingStream, StreamError};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use store::{RestoreOptions, StoreError};

/// The version of the container that this program writes.
pub const FORMAT: u32 = 1;

/// What the content of a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The tenant's database file. Backups from before there was another kind say nothing of it.
    #[default]
    File,
    /// The rows of the tenant's tables.
    Rows,
}

/// What a backup says of itself. Readable by anyone, and authenticated with every part of the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the container.
    pub format: u32,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub backup: BackupId,
    /// How often the tenant had been restored.
    pub generation: u64,
    /// When it was taken.
    pub created_at: Timestamp,
    /// The version of the tables, counted by the backend that wrote it.
    pub schema: u32,
    /// How many events the audit log had.
    pub audit_events: u64,
    /// The name of the data key that it is sealed under.
    pub key: String,
    /// What the content is.
    #[serde(default)]
    pub content: Content,
}

/// Why a backup is not written or not opened.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It does not fit. The text is for the operator.
    #[error("{0}")]
    Refused(String),
    /// Reading or writing failed.
    #[error("the file of a backup: {0}")]
    Io(#[from] io::Error),
}

impl BackupError {
    /// A refusal in these words.
    pub fn refused(detail: &str) -> Self {
        Self::Refused(detail.to_owned())
    }
}

impl From<StreamError> for BackupError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => Self::Io(error),
            other => Self::Refused(format!("The backup cannot be opened: {other}.")),
        }
    }
}

impl From<BackupError> for StoreError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Refused(detail) => Self::BackupRefused(detail),
            BackupError::Io(_) => Self::Unavailable,
        }
    }
}

impl From<BackupError> for crate::Fault {
    fn from(error: BackupError) -> Self {
        Self::Answer(error.into())
    }
}

impl Manifest {
    /// What a backup that is taken now says of itself.
    pub fn new(
        env: &Env,
        tenant: TenantId,
        keys: &TenantKeys,
        generation: u64,
        audit_events: u64,
        content: Content,
        schema: u32,
    ) -> Self {
        Self {
            format: FORMAT,
            tenant,
            backup: env.id(),
            generation,
            created_at: env.now(),
            schema,
            audit_events,
            key: keys.data_name().to_owned(),
            content,
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, BackupError> {
        serde_json::from_slice(bytes).map_err(|_| BackupError::refused("The backup has no manifest."))
    }

    /// Begins the container that this manifest is of.
    pub fn begin<W: Write>(
        &self,
        env: &Env,
        keys: &TenantKeys,
        output: W,
    ) -> Result<SealingStream<W>, BackupError> {
        let header = serde_json::to_vec(self).map_err(io::Error::other)?;
        Ok(SealingStream::begin(output, env, keys.data(), &BACKUP, &header)?)
    }

    /// Refuses a backup that a later restore has left behind, unless that is what is wanted.
    pub fn check_generation(&self, present: u64, options: RestoreOptions) -> Result<(), BackupError> {
        if self.generation < present && !options.allow_older {
            return Err(BackupError::refused(
                "The backup is older than the last restore. Say so to restore it all the same.",
            ));
        }
        Ok(())
    }
}

/// What is restored into.
pub struct Target<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Its keys.
    pub keys: &'a TenantKeys,
    /// The kind of content that the backend takes.
    pub content: Content,
    /// The newest version of the tables that it knows.
    pub schema: u32,
}

impl Target<'_> {
    /// Opens a backup of this tenant. What its manifest says is authentic then, and so is the content as far as
    /// it is read; that nothing is missing is known only at its end.
    pub fn open<R: Read>(&self, input: R) -> Result<(Manifest, OpenedStream<R>), BackupError> {
        let claimed = ClaimedStream::read(input)?;
        let manifest = Manifest::parse(claimed.claimed_header())?;
        if manifest.tenant != self.tenant {
            return Err(BackupError::refused("The backup is of another tenant."));
        }
        if manifest.key != self.keys.data_name() {
            return Err(BackupError::refused(
                "The backup is from before the tenant's data key was changed. Its key is destroyed.",
            ));
        }
        let opened = claimed.open(self.keys.data(), &BACKUP)?;
        let manifest = Manifest::parse(opened.header())?;
        if manifest.format != FORMAT || manifest.schema > self.schema {
            return Err(BackupError::refused("The backup was written by a newer version of this program."));
        }
        if manifest.content != self.content {
            return Err(BackupError::refused("The backup was written by another kind of store."));
        }
        Ok((manifest, opened))
    }
}

#[cfg(test)]
mod tests;
