//! What commands need from the program around them: the clock, and work on a data folder whose server is
//! stopped.

use async_trait::async_trait;
use env::Env;
use secret::SecretText;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use verify::{Only, Report};

/// What commands need from the program around them.
#[derive(Clone)]
pub struct Surroundings {
    /// Clock and randomness.
    pub env: Env,
    /// Work on a data folder.
    pub offline: Arc<dyn Offline>,
}

/// How everything is put back.
pub struct WantedRestore {
    /// The folder with the backups; `None` where everything is in place, and only what follows is to be said.
    pub from: Option<PathBuf>,
    /// Which backup; the newest where none is named.
    pub backup: Option<String>,
    /// The data folder.
    pub data: PathBuf,
    /// The file of the master key.
    pub master_key: PathBuf,
    /// Whether tenants that do not pass the isolation check stay out of service.
    pub without_failed: bool,
    /// Whether the server before is gone for good.
    pub old_server_is_gone: bool,
    /// The highest generation that any server is known to have had.
    pub generation_before: u64,
}

/// How a database is attacked.
pub struct WantedAttack {
    /// The configuration that names it, and its administrator.
    pub config: PathBuf,
    /// The file of the master key.
    pub master_key: PathBuf,
    /// Which patterns are told of.
    pub only: Only,
}

/// One thing that was looked at in a database.
pub struct FootingLine {
    /// What.
    pub check: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// The store whose keys are to be wrapped anew, with nobody on it.
#[derive(Clone, Copy)]
pub enum WantedStore<'a> {
    /// The embedded one in this folder.
    Folder(&'a Path),
    /// The database that this configuration names, with the administrator's address.
    Database(&'a Path),
}

/// Work on a store whose servers are stopped. Only the program that names adapters can do it.
#[async_trait]
pub trait Offline: Send + Sync {
    /// Begins to log to standard error, and protects this process, which is about to hold a key.
    fn begin_to_serve(&self) -> Result<(), String>;

    /// Splits the master key in this file into shares, each in a file of its own in the folder; the files.
    fn split_master_key(
        &self,
        key: &Path,
        threshold: u8,
        shares: u8,
        folder: &Path,
    ) -> Result<Vec<PathBuf>, String>;

    /// Brings a master key back from the shares in these files, into a new file; the key's id.
    fn recover_master_key(&self, shares: &[PathBuf], key: &Path) -> Result<String, String>;

    /// What the database stands on that a configuration names, or nothing where it names none.
    async fn footing(&self, config: &Path) -> Result<Option<Vec<FootingLine>>, String>;

    /// Attacks the database that a configuration names, with throwaway tenants that it makes and removes.
    async fn attack_store(&self, wanted: WantedAttack) -> Result<Report, String>;

    /// Puts a backup of everything back, lets the server in the folder be the only one, or both; what was done. An
    /// error says why not, and nothing was touched then.
    async fn restore_all(&self, wanted: WantedRestore) -> Result<Value, String>;

    /// Wraps every tenant's key under the present master key instead of the previous one; how many were
    /// wrapped anew. An error says why not, and nothing is lost then.
    async fn rewrap_keys(
        &self,
        store: WantedStore<'_>,
        present: &Path,
        previous: &Path,
        operator: SecretText,
    ) -> Result<u64, String>;
}
