//! The master key in escrow: into shares that are files, and back.

use crate::system;
use kms_file::{MasterKey, Share};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Splits the key in this file into as many files in a new folder.
pub(crate) fn split(key: &Path, threshold: u8, shares: u8, folder: &Path) -> Result<Vec<PathBuf>, String> {
    protect()?;
    let key = MasterKey::load(key).map_err(|error| error.to_string())?;
    let shares = key.split(threshold, shares, &system::env()).map_err(|error| error.to_string())?;
    let unwritten = |error: io::Error| format!("{}: {error}", folder.display());
    // A folder that is there could have shares of another time, which do not go with these.
    DirBuilder::new().mode(0o700).create(folder).map_err(unwritten)?;
    let write = |share: &Share| {
        let (number, of, _) = share.place();
        let path = folder.join(format!("share-{number}-of-{of}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(share.text().as_bytes())?;
        file.sync_all()?;
        Ok(path)
    };
    shares.iter().map(write).collect::<io::Result<_>>().map_err(unwritten)
}

/// Brings the key back from the shares in these files, into a new file; gives back its id.
pub(crate) fn recover(shares: &[PathBuf], key: &Path) -> Result<String, String> {
    protect()?;
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = Zeroizing::new(text);
        text.parse::<Share>().map_err(|error| format!("{}: {error}", path.display()))
    };
    let shares = shares.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let key = MasterKey::recover(key, &shares).map_err(|error| error.to_string())?;
    Ok(key.id().to_string())
}

fn protect() -> Result<(), String> {
    hardening::protect_process().map_err(|error| format!("this process could not be protected: {error}"))
}
