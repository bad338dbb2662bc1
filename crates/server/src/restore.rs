//! `tenantry restore --all`: a machine that was lost, on another one.

use crate::system;
use cli::WantedRestore;
use kms_file::{FileKms, MasterKey};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use store_sqlite::{PutBack, WholeRestore, confirm_put_back, put_back};

/// Puts everything back, lets the server in the folder be the only one, or both.
pub(crate) async fn restore_all(wanted: WantedRestore) -> Result<Value, String> {
    // The master key is about to be in this process's memory.
    hardening::protect_process().map_err(|error| format!("this process could not be protected: {error}"))?;
    let kms = || -> Result<Arc<FileKms>, String> {
        Ok(Arc::new(FileKms::new(system::env(), load(&wanted.master_key)?, None)))
    };
    let mut done = json!({});
    if let Some(from) = &wanted.from {
        let backup = wanted.backup.as_ref().map(|id| id.parse());
        let restore = WholeRestore {
            from: from.clone(),
            backup: backup.transpose().map_err(|_| "`--backup` names no backup: bak_…".to_owned())?,
            folder: wanted.data.clone(),
            without_failed: wanted.without_failed,
        };
        let put_back: PutBack =
            put_back(restore, kms()?, system::env()).await.map_err(|error| error.to_string())?;
        let in_place = put_back.in_place;
        done = serde_json::to_value(put_back).map_err(|error| error.to_string())?;
        if !in_place {
            return Ok(done);
        }
    }
    if wanted.old_server_is_gone {
        let beyond = wanted.generation_before;
        let generation = confirm_put_back(&wanted.data, beyond, kms()?, system::env()).await;
        done["generation"] = json!(generation.map_err(|error| error.to_string())?);
    }
    Ok(done)
}

fn load(path: &Path) -> Result<MasterKey, String> {
    MasterKey::load(path).map_err(|error| format!("the master key file {}: {error}", path.display()))
}
