//! What a witness must not forget: its key, and the last checkpoint of each log that it cosigned.

use audit::note::{KeyName, Origin, SignedCheckpoint, VerifierKey, WitnessKey};
use env::Env;
use secret::SecretBytes;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const KEY: &str = "witness.key";
/// Conflicts that are kept as evidence. The first show what happened; a log that goes on so fills no disk.
const MAX_CONFLICTS: usize = 100;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or folder of it.
    #[error("the witness's folder cannot be used: {0}")]
    Io(#[from] io::Error),
    /// Another process has the folder.
    #[error("another witness runs on this folder")]
    InUse,
    /// The key is not one, or others can read it.
    #[error("{0} does not hold a witness's key, or others can read it: run `chmod 600` on it")]
    Key(PathBuf),
    /// There are checkpoints, and the key that cosigned them is gone.
    #[error(
        "the folder has checkpoints and no key: bring `{KEY}` back, or begin with an empty folder and another name"
    )]
    KeyGone,
    /// A checkpoint that was kept does not hold.
    #[error("the checkpoint that was kept of {0} is damaged; a witness that forgot it would cosign a fork")]
    Damaged(String),
}

/// The folder of a witness, which this process alone has.
pub(crate) struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder, and makes it where it is not there.
    pub(crate) fn open(root: &Path) -> Result<Self, StateError> {
        for folder in [root.to_owned(), root.join("logs"), root.join("conflicts"), root.join("generations")] {
            if !folder.is_dir() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
        }
        let lock = private().create(true).truncate(false).open(root.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::InUse),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The witness's key, made at the first start. It is never printed.
    pub(crate) fn key(&self, name: KeyName, env: &Env) -> Result<WitnessKey, StateError> {
        let path = self.root.join(KEY);
        if !path.exists() {
            if fs::read_dir(self.root.join("logs"))?.next().is_some() {
                return Err(StateError::KeyGone);
            }
            let seed = SecretBytes::<32>::fill_with(|bytes| env.fill(bytes));
            self.write(&path, (hex::encode(seed.expose()) + "\n").as_bytes())?;
        }
        let unusable = || StateError::Key(path.clone());
        if fs::metadata(&path)?.permissions().mode() & 0o077 != 0 {
            return Err(unusable());
        }
        let mut text = fs::read_to_string(&path)?;
        let mut decoded = Ok(());
        let seed = SecretBytes::fill_with(|bytes| decoded = hex::decode_to_slice(text.trim_end(), bytes));
        // The text held the key, too.
        text.clear();
        decoded.map_err(|_| unusable())?;
        Ok(WitnessKey::from_seed(name, &seed))
    }

    /// The last checkpoint that was cosigned of this log, if there is one.
    pub(crate) fn last(&self, key: &VerifierKey) -> Result<Option<SignedCheckpoint>, StateError> {
        let origin = key.name().as_str();
        match fs::read_to_string(self.place(origin)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
            Ok(text) => match SignedCheckpoint::open(&text, key) {
                Ok(checkpoint) => Ok(Some(checkpoint)),
                Err(_) => Err(StateError::Damaged(origin.to_owned())),
            },
        }
    }

    /// Keeps a checkpoint in the place of the last one; it is on the disk when this is back.
    pub(crate) fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<(), StateError> {
        let path = self.place(&checkpoint.checkpoint().origin.to_string());
        self.write(&path, checkpoint.to_string().as_bytes())
    }

    /// The highest generation that was seen of a log, in whatever epoch.
    pub(crate) fn seen(&self, log: &Origin, key: &VerifierKey) -> Result<u64, StateError> {
        match fs::read_to_string(self.generation_of(log, key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
            Ok(text) => text.trim().parse().map_err(|_| StateError::Damaged(log.to_string())),
        }
    }

    /// Does not forget the checkpoint's generation, where it is the highest so far.
    pub(crate) fn see(&self, checkpoint: &SignedCheckpoint, key: &VerifierKey) -> Result<(), StateError> {
        let (log, generation) = (&checkpoint.checkpoint().origin, checkpoint.checkpoint().generation);
        if generation <= self.seen(log, key)?.max(1) {
            return Ok(());
        }
        self.write(&self.generation_of(log, key), format!("{generation}\n").as_bytes())
    }

    /// One file for the logs of a tenant and a region that one key signs, whatever their epoch.
    fn generation_of(&self, log: &Origin, key: &VerifierKey) -> PathBuf {
        let first = Origin { epoch: 1, ..log.clone() };
        let name = key.named_after(&first).to_string();
        self.root.join("generations").join(hex::encode(Sha256::digest(name)))
    }

    /// Keeps a signed checkpoint that goes with no history that was cosigned: the log's own signature shows
    /// what it did.
    pub(crate) fn keep_conflict(&self, checkpoint: &SignedCheckpoint) -> Result<(), StateError> {
        let folder = self.root.join("conflicts");
        let text = checkpoint.note().text();
        let path = folder.join(hex::encode(&Sha256::digest(text)[..16]));
        if path.exists() || fs::read_dir(&folder)?.count() >= MAX_CONFLICTS {
            return Ok(());
        }
        self.write(&path, checkpoint.to_string().as_bytes())
    }

    /// Writes a file whole or not at all, and waits until it and its name are on the disk.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StateError> {
        let staged = path.with_extension("new");
        let mut file = private().create(true).truncate(true).open(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Where this file of the folder is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn place(&self, origin: &str) -> PathBuf {
        self.root.join("logs").join(hex::encode(Sha256::digest(origin)))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
