//! Files on their way: backups before they are sent, and after they have arrived. Few at a time, and gone
//! with whoever works on them.

use env::Env;
use errors::{Code, Problem};
use ids::RequestId;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Files at the same time: each may be as large as a tenant.
const PLACES: usize = 4;
/// How long a caller waits for a place.
const PATIENCE: Duration = Duration::from_secs(10);

/// A folder for files on their way.
pub struct Scratch {
    folder: PathBuf,
    places: Arc<Semaphore>,
}

/// A file on its way, which is removed when this is dropped.
pub struct ScratchFile {
    path: PathBuf,
    _place: OwnedSemaphorePermit,
}

impl Scratch {
    /// The folder at this path, made anew: what a stopped server left in it is of no use.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, places: Arc::new(Semaphore::new(PLACES)) })
    }

    /// No folder: there is no place for any file.
    pub fn none() -> Self {
        let places = Semaphore::new(0);
        places.close();
        Self { folder: PathBuf::new(), places: Arc::new(places) }
    }

    /// A place for a file. The file itself is made by whoever writes it.
    pub async fn place(&self, env: &Env) -> Result<ScratchFile, Problem> {
        let full = || {
            let detail = "Too many backups are under way. Try again.";
            Problem::new(Code::Unavailable, detail).retry_after(30)
        };
        let waiting = tokio::time::timeout(PATIENCE, self.places.clone().acquire_owned());
        let place = waiting.await.map_err(|_| full())?.map_err(|_| full())?;
        let name: RequestId = env.id();
        Ok(ScratchFile { path: self.folder.join(name.to_string()), _place: place })
    }
}

impl ScratchFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a file on its way could not be removed");
            }
            _ => {}
        }
    }
}
