//! A backup of everything: the platform store, every journal, every tenant's file, at one moment.

use crate::StoreError;
use async_trait::async_trait;
use context::Operator;
use env::Timestamp;
use ids::{BackupId, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a piece of a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceKind {
    /// Content, under a name that no other content ever has.
    Part,
    /// The names, sizes and hashes of all parts that the backup consists of, also of those from before.
    List,
    /// What makes the parts a backup. The last piece.
    Manifest,
}

/// A piece of a backup, ready to be carried away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// The name to keep it under.
    pub name: String,
    /// Where it lies until it is carried away.
    pub path: PathBuf,
}

/// Nobody takes pieces any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("whoever takes the backup has gone")]
pub struct TakerGone;

/// Carries pieces away, one after the other.
#[async_trait]
pub trait Carrier: Send {
    /// Says that a backup is being taken, before there is the first piece.
    async fn begin(&mut self) -> Result<(), TakerGone>;

    /// Carries a piece away. Its file is removed after.
    async fn carry(&mut self, piece: &Piece) -> Result<(), TakerGone>;
}

/// What came of a backup of everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WholeBackup {
    /// Its id.
    pub backup: BackupId,
    /// The moment: everything that was acknowledged before it is in the backup.
    pub at: Timestamp,
    /// How often the server had been restored, counted from 1.
    pub generation: u64,
    /// How many tenants there were.
    pub tenants: u64,
    /// How many tenants' files were copied.
    pub copied: u64,
    /// How many files had not changed since the backup that it goes on from.
    pub unchanged: u64,
    /// Tenants whose file could not be read. It was copied as it is, or not at all where the disk does not give it.
    pub unreadable: Vec<TenantId>,
}

/// Takes backups of everything.
#[async_trait]
pub trait WholeBackups: Send + Sync {
    /// Takes a backup, without what has not changed since the earlier one whose manifest is in the file `last`;
    /// an empty one goes on from nothing. Pieces lie in files beside it until they are carried away.
    /// [`StoreError::BackupRefused`] where the file is no manifest of this server's.
    async fn back_up_all(
        &self,
        operator: &Operator,
        last: &Path,
        carrier: &mut dyn Carrier,
    ) -> Result<WholeBackup, StoreError>;
}
