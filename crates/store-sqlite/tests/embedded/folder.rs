//! A data folder with a master key beside it, opened as the server opens it.

use async_trait::async_trait;
use env::Env;
use kms_file::{FileKms, MasterKey};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store_sqlite::{EmbeddedStore, OpenError, Settings};
use store_tests::Backend;
use tempfile::TempDir;

/// The backend under test.
pub struct Embedded {
    /// Goes last, and the files with it.
    place: Arc<TempDir>,
    env: Env,
    store: EmbeddedStore,
}

/// The data folder in a temporary one.
pub fn data(place: &Path) -> PathBuf {
    place.join("data")
}

/// Opens the folder under the master key in `place`, which is made where there is none.
pub async fn open(place: &Path, folder: &Path, env: Env) -> Result<EmbeddedStore, OpenError> {
    let file = place.join("master.key");
    let key = if file.exists() { MasterKey::load(&file) } else { MasterKey::create_development(&file, &env) };
    open_with(key.unwrap(), None, folder, env).await
}

/// Opens the folder under these master keys.
pub async fn open_with(
    present: MasterKey,
    previous: Option<MasterKey>,
    folder: &Path,
    env: Env,
) -> Result<EmbeddedStore, OpenError> {
    let regions = vec!["local".parse().unwrap()];
    let settings = Settings { folder: folder.to_owned(), regions, durable: true };
    EmbeddedStore::open(settings, kms(present, previous, &env), env).await
}

fn kms(present: MasterKey, previous: Option<MasterKey>, env: &Env) -> Arc<FileKms> {
    Arc::new(FileKms::new(env.clone(), present, previous))
}

/// Opens the folder with these regions and this durability.
pub async fn open_as(place: &Path, regions: &[&str], durable: bool, env: Env) -> EmbeddedStore {
    let file = place.join("master.key");
    let key = if file.exists() { MasterKey::load(&file) } else { MasterKey::create_development(&file, &env) };
    let regions = regions.iter().map(|region| region.parse().unwrap()).collect();
    let settings = Settings { folder: data(place), regions, durable };
    EmbeddedStore::open(settings, kms(key.unwrap(), None, &env), env).await.unwrap()
}

impl Embedded {
    /// A backend over a temporary folder that has data already.
    pub async fn at(place: TempDir, env: Env) -> Self {
        let store = open(place.path(), &data(place.path()), env.clone()).await.unwrap();
        Self { place: Arc::new(place), env, store }
    }

    /// The temporary folder.
    pub fn place(&self) -> Arc<TempDir> {
        self.place.clone()
    }

    /// The data folder.
    pub fn folder(&self) -> PathBuf {
        data(self.place.path())
    }
}

#[async_trait]
impl Backend for Embedded {
    type Store = EmbeddedStore;
    const SURVIVES: bool = true;
    const BACKS_UP: bool = true;

    async fn open(env: Env) -> Self {
        let place = Arc::new(TempDir::new().unwrap());
        let store = open(place.path(), &data(place.path()), env.clone()).await.unwrap();
        Self { place, env, store }
    }

    fn store(&self) -> &EmbeddedStore {
        &self.store
    }

    async fn reopen(self) -> Self {
        let Self { place, env, store } = self;
        store.close().await;
        drop(store);
        let store = open(place.path(), &data(place.path()), env.clone()).await.unwrap();
        Self { place, env, store }
    }
}
