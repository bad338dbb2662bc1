//! What an empty data folder gets: a development master key where no other was named, and the first
//! operator key.

use crate::serve::ServeError;
use authz::OperatorRole;
use context::{CredentialKind, IndexKey, IndexedSubject, issue_operator_key};
use env::Env;
use kms_file::MasterKey;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use store::PlatformStore;

/// The master key: the named file's, or the development key beside the data.
pub(crate) fn master_key(
    data: &Path,
    named: Option<&PathBuf>,
    production: bool,
    env: &Env,
) -> Result<MasterKey, ServeError> {
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
        std::fs::create_dir_all(data).map_err(ServeError::Folder)?;
        MasterKey::create_development(&path, env)
    };
    tracing::warn!(
        path = %path.display(),
        "the master key lies beside the data that it protects: fit for development alone; name another with --master-key-file"
    );
    key.map_err(|error| ServeError::MasterKey(path, error))
}

/// Makes the first operator key, with the role `admin`, if the folder has none yet.
pub(crate) async fn operator_key(
    data: &Path,
    store: &dyn PlatformStore,
    index_key: &IndexKey,
    env: &Env,
) -> Result<(), ServeError> {
    let path = data.join("operator.key");
    if path.exists() || store.has_operators().await? {
        return Ok(());
    }
    let key = issue_operator_key(env.id(), env);
    // The file comes first: a key that the index knows and nobody has would lock everybody out.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(ServeError::Folder)?;
    writeln!(file, "{}", key.text.expose()).and_then(|()| file.sync_all()).map_err(ServeError::Folder)?;
    let hash = index_key.hash(CredentialKind::OperatorKey.as_str(), key.text.expose());
    let subject = IndexedSubject::Operator { id: key.id, role: OperatorRole::Admin };
    store.index_operator(hash, subject).await?;
    tracing::info!(path = %path.display(), "made the first operator key");
    Ok(())
}
