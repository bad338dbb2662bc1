//! Where things are in the data folder, and the file-system calls that durability needs.

use crate::error::Fault;
use ids::{Slug, TenantId};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The layout of a data folder.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder(PathBuf);

impl DataFolder {
    /// The folder at `root`, made if it is not there, readable for its owner only.
    pub(crate) fn at(root: &Path) -> Result<Self, Fault> {
        private_folder(root)?;
        Ok(Self(root.to_owned()))
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn platform(&self) -> PathBuf {
        self.0.join("platform.db")
    }

    /// The journal of a region, whose folder is made if it is not there.
    pub(crate) fn journal(&self, region: &Slug) -> Result<PathBuf, Fault> {
        let folder = self.region(region);
        private_folder(&folder)?;
        Ok(folder.join("journal.db"))
    }

    /// A tenant's file, whose folder is made if it is not there.
    pub(crate) fn tenant(&self, region: &Slug, tenant: TenantId) -> Result<PathBuf, Fault> {
        let folder = self.region(region).join("tenants");
        private_folder(&folder)?;
        Ok(folder.join(format!("{tenant}.db")))
    }

    /// The regions that have a journal.
    pub(crate) fn regions(&self) -> Result<Vec<Slug>, Fault> {
        let folders = match fs::read_dir(self.0.join("regions")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            folders => folders?,
        };
        let mut regions = Vec::new();
        for folder in folders {
            let folder = folder?;
            if folder.path().join("journal.db").exists()
                && let Some(region) = folder.file_name().to_str().and_then(|name| name.parse().ok())
            {
                regions.push(region);
            }
        }
        Ok(regions)
    }

    /// The tenants that have a file in a region, in no order.
    pub(crate) fn tenants(&self, region: &Slug) -> Result<Vec<TenantId>, Fault> {
        let files = match fs::read_dir(self.region(region).join("tenants")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let mut tenants = Vec::new();
        for file in files {
            let name = file?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".db"));
            tenants.extend(stem.and_then(|stem| stem.parse::<TenantId>().ok()));
        }
        Ok(tenants)
    }

    /// The copies that migrations kept of a region's files, with the file that each is of.
    pub(crate) fn migration_copies(&self, region: &Slug) -> Result<Vec<(PathBuf, PathBuf)>, Fault> {
        let folder = self.region(region).join("tenants");
        let files = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let mut copies = Vec::new();
        for file in files {
            let file = file?;
            let name = file.file_name();
            if let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".before-migration.db")) {
                copies.push((file.path(), folder.join(format!("{stem}.db"))));
            }
        }
        Ok(copies)
    }

    fn region(&self, region: &Slug) -> PathBuf {
        self.0.join("regions").join(region.as_str())
    }
}

/// Makes a folder, readable for its owner only, where there is none. Its name, and that of each folder above
/// it that had to be made, survives a power loss: what is synced in a folder whose name is lost, is lost.
fn private_folder(path: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        private_folder(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        // Somebody else may have made it just now, and not have come to sync its name.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    sync_folder_of(path)
}

/// Makes a new name in a folder survive a power loss.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().ok_or_else(|| Fault::Io("a path without a folder".into()))?;
    Ok(fs::File::open(folder)?.sync_all()?)
}

/// Removes a file; one that is not there is as good.
pub(crate) fn remove_if_there(path: &Path) -> Result<bool, Fault> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes a database with the files that SQLite keeps beside it.
pub(crate) fn remove_database(path: &Path) -> Result<bool, Fault> {
    let there = remove_if_there(path)?;
    remove_beside(path)?;
    Ok(there)
}

/// Puts a closed database in the place of another closed one, at once: after a crash there is the one or
/// the other. What SQLite left beside the old one is of the old one and must not be read into the new.
pub(crate) fn replace_database(staged: &Path, path: &Path) -> Result<(), Fault> {
    remove_beside(path)?;
    fs::rename(staged, path)?;
    sync_folder_of(path)
}

fn remove_beside(path: &Path) -> Result<(), Fault> {
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        remove_if_there(Path::new(&beside))?;
    }
    Ok(())
}

/// Takes the folder for this process, or `None` where another has it. Lasts as long as the file is open.
pub(crate) fn lock(path: &Path) -> Result<Option<fs::File>, Fault> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Makes a file that is not there yet, readable for its owner only.
pub(crate) fn create_private(path: &Path) -> Result<fs::File, Fault> {
    use std::os::unix::fs::OpenOptionsExt as _;
    Ok(fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?)
}
