//! A folder of backups: parts under names of their own, and for each backup a list of its parts and a manifest.

use super::Kind;
use crate::output::Trouble;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A folder of backups, which one process at a time works on.
pub(crate) struct BackupFolder {
    root: PathBuf,
    _lock: File,
}

/// Makes a file that is not there yet, for its owner alone.
pub(super) async fn create(path: &Path) -> io::Result<tokio::fs::File> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path).await
}

impl BackupFolder {
    /// Takes the folder, and makes it where it is not there.
    pub(crate) fn open(root: &Path) -> Result<Self, Trouble> {
        let told = |error: io::Error| Trouble::other(format!("{}: {error}", root.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root.join("parts")).map_err(told)?;
        let mut options = fs::OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(root.join("lock"));
        let lock = lock.map_err(told)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => {
                Err(Trouble::other(format!("another backup goes into {}", root.display())))
            }
            Err(fs::TryLockError::Error(error)) => Err(told(error)),
        }
    }

    /// The backups that are whole, the newest first: their ids are in the order of their time.
    fn backups(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.root)? {
            let name = file?.file_name();
            found.extend(name.to_str().and_then(|name| name.strip_suffix(".manifest")).map(str::to_owned));
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found)
    }

    /// The manifest of the newest backup, if all of its parts are still there.
    pub(crate) fn last(&self) -> io::Result<Option<PathBuf>> {
        let Some(last) = self.backups()?.into_iter().next() else { return Ok(None) };
        let whole = self.parts_of(&last)?.is_some_and(|parts| {
            parts
                .iter()
                .all(|(name, bytes)| fs::metadata(self.part(name)).is_ok_and(|part| part.len() == *bytes))
        });
        Ok(whole.then(|| self.root.join(format!("{last}.manifest"))))
    }

    /// The names and sizes of a backup's parts; `None` where the list is not there or is not one.
    fn parts_of(&self, backup: &str) -> io::Result<Option<Vec<(String, u64)>>> {
        let text = match fs::read_to_string(self.root.join(format!("{backup}.parts"))) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let read = |line: &str| {
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        };
        Ok(text.lines().map(read).collect())
    }

    fn part(&self, name: &str) -> PathBuf {
        self.root.join("parts").join(name)
    }

    /// Where a piece goes. A name comes from outside, and must lead nowhere else.
    pub(super) fn place(&self, kind: Kind, name: &str) -> Result<PathBuf, Trouble> {
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            return Err(Trouble::other("the server named a piece of the backup as no piece is named"));
        }
        let path = match kind {
            Kind::Part => self.part(name),
            Kind::List => self.root.join(format!("{name}.parts")),
            Kind::Manifest => self.root.join(format!("{name}.unfinished")),
        };
        Ok(path)
    }

    /// Lets a backup count, whose pieces are all on the disk.
    pub(super) fn finish(&self, backup: &str) -> io::Result<()> {
        File::open(self.root.join("parts"))?.sync_all()?;
        let unfinished = self.root.join(format!("{backup}.unfinished"));
        fs::rename(unfinished, self.root.join(format!("{backup}.manifest")))?;
        File::open(&self.root)?.sync_all()
    }

    /// Removes all but the newest backups, and the parts that none of these has; gives back how many parts.
    pub(super) fn keep_newest(&self, keep: usize) -> io::Result<u64> {
        let backups = self.backups()?;
        let (kept, old) = backups.split_at(keep.min(backups.len()));
        let mut needed = HashSet::new();
        for backup in kept {
            // A backup whose list is lost may need any part.
            let Some(parts) = self.parts_of(backup)? else { return Ok(0) };
            needed.extend(parts.into_iter().map(|(name, _)| name));
        }
        for backup in old {
            fs::remove_file(self.root.join(format!("{backup}.manifest")))?;
        }
        for file in fs::read_dir(&self.root)? {
            let path = file?.path();
            let of_kept = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .is_some_and(|stem| kept.iter().any(|backup| backup == stem));
            let is_rest = path.extension().is_some_and(|end| end == "parts" || end == "unfinished");
            if is_rest && !of_kept {
                fs::remove_file(path)?;
            }
        }
        let mut removed = 0;
        for part in fs::read_dir(self.root.join("parts"))? {
            let part = part?;
            if part.file_name().to_str().is_none_or(|name| !needed.contains(name)) {
                fs::remove_file(part.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
