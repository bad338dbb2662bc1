//! What an empty data folder gets: a development master key where no other was named, and the first
//! operator key.

use crate::serve::ServeError;
use context::{CredentialKind, IndexKey, OperatorKey, issue_operator_key};
use env::Env;
use kms_file::MasterKey;
use secret::SecretText;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use store::PlatformStore;

/// The master key: the named file's, or the development key beside the data.
pub(crate) fn master_key(
    data: &Path,
    named: Option<&PathBuf>,
    production: bool,
    env: &Env,
) -> Result<MasterKey, ServeError> {
    folder(data)?;
    if let Some(path) = named {
        return MasterKey::load(path).map_err(|error| ServeError::MasterKey(path.clone(), error));
    }
    if production {
        return Err(ServeError::DevelopmentKeyInProduction);
    }
    let path = data.join("master.key");
    let key = if path.exists() {
        MasterKey::load(&path)
    } else if data.join("platform.db").exists() {
        return Err(ServeError::MasterKeyGone(path));
    } else {
        MasterKey::create_development(&path, env)
    };
    tracing::warn!(
        path = %path.display(),
        "the master key lies beside the data that it protects: fit for development alone; name another with --master-key-file"
    );
    key.map_err(|error| ServeError::MasterKey(path, error))
}

/// Makes the first operator key, with the role `admin`, where there is no operator yet. A key that an earlier
/// start wrote down and did not get to index is taken: it may be in somebody's hands.
pub(crate) async fn operator_key(
    data: &Path,
    store: &dyn PlatformStore,
    index_key: &IndexKey,
    env: &Env,
) -> Result<(), ServeError> {
    if store.has_operators().await? {
        return Ok(());
    }
    let path = data.join("operator.key");
    let (key, is_fresh) = match left_behind(&path)? {
        Some(key) => (key, false),
        None => {
            let key = issue_operator_key(env.id(), env);
            // The file comes first: a key that the index knows and nobody has would lock everybody out.
            write_down(data, &path, &key)?;
            (key, true)
        }
    };
    let hash = index_key.hash(CredentialKind::OperatorKey.as_str(), key.text.expose());
    if store.add_first_operator(hash, key.id, "first key").await? {
        tracing::info!(path = %path.display(), "made the first operator key");
    } else {
        // Another server was on the same empty store and came first. A key that was made for nothing opens nothing; one
        // that was found may be that server's.
        if is_fresh {
            std::fs::remove_file(&path).map_err(ServeError::Folder)?;
        }
        tracing::info!(
            "another server that started at the same time made the first operator key: it is `operator.key` in that one's data folder"
        );
    }
    Ok(())
}

/// The key in a file of an earlier start. One that was only begun is no key, and makes place for another.
fn left_behind(path: &Path) -> Result<Option<OperatorKey>, ServeError> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => SecretText::new(read.map_err(ServeError::Folder)?.trim().to_owned()),
    };
    let key = OperatorKey::parse(text.expose());
    if key.is_none() {
        std::fs::remove_file(path).map_err(ServeError::Folder)?;
    }
    Ok(key)
}

fn write_down(data: &Path, path: &Path, key: &OperatorKey) -> Result<(), ServeError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{}", key.text.expose())?;
        file.sync_all()?;
        // The name, too, is to outlast a power loss.
        std::fs::File::open(data)?.sync_all()
    };
    write().map_err(ServeError::Folder)
}

/// Makes the data folder, for its owner alone. Its name and those above it outlast a power loss.
pub(crate) fn folder(data: &Path) -> Result<(), ServeError> {
    fn make(folder: &Path) -> std::io::Result<()> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(folder);
        make(above)?;
        DirBuilder::new().mode(0o700).create(folder)?;
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        std::fs::File::open(above)?.sync_all()
    }
    make(data).map_err(ServeError::Folder)
}

#[cfg(test)]
mod tests {
    use super::{folder, left_behind, write_down};
    use context::issue_operator_key;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_that_was_written_down_is_found_again_and_half_a_key_is_none() {
        let home = tempfile::TempDir::new().unwrap();
        let data = home.path().join("a/b");
        folder(&data).unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
        let path = data.join("operator.key");
        assert!(left_behind(&path).unwrap().is_none());
        let env = crate::system::env();
        let key = issue_operator_key(env.id(), &env);
        write_down(&data, &path, &key).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(left_behind(&path).unwrap().unwrap().id, key.id);
        std::fs::write(&path, &key.text.expose()[..20]).unwrap();
        assert!(left_behind(&path).unwrap().is_none());
        assert!(!path.exists());
    }
}
