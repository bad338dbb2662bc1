//! The platform store: one encrypted file, with what every request needs of it kept in memory.

mod cache;
mod catalog;
mod index;
mod operators;
mod schema;
mod server;
mod tenant_keys;
mod tenants;
mod verify_grants;

pub(crate) use cache::Cache;
pub(crate) use index::subject_id;
pub(crate) use server::{FileState, PlatformSnapshot};
pub(crate) use tenants::Making;

use crate::error::Fault;
use crate::tenant::blocking;
use env::Env;
use secret::SecretBytes;
use sqlcipher::{Connection, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The platform's file and what is cached of it.
pub(crate) struct Platform {
    connection: Mutex<Connection>,
    cache: Mutex<Cache>,
    path: PathBuf,
    pub(crate) env: Env,
}

impl Platform {
    /// Opens the platform store, and makes it if it is not there.
    pub(crate) fn open(path: &Path, key: &SecretBytes<32>, env: Env) -> Result<Arc<Self>, Fault> {
        let mut connection = sqlcipher::open(path, key, &crate::sqlite::platform_options())?;
        schema::migrate(&mut connection)?;
        crate::files::sync_folder_of(path)?;
        Ok(Arc::new(Self {
            connection: Mutex::new(connection),
            cache: Mutex::default(),
            path: path.to_owned(),
            env,
        }))
    }

    /// A random key of the platform's own, made when it is first asked for. It lives as long as the
    /// platform store, whatever becomes of the master key.
    pub(crate) fn own_key(&self, name: &str) -> Result<SecretBytes<32>, Fault> {
        let connection = self.lock();
        let fresh = SecretBytes::<32>::fill_with(|bytes| self.env.fill(bytes));
        connection.execute(
            "INSERT INTO own_key(name, bytes) VALUES(?1, ?2) ON CONFLICT DO NOTHING",
            params![name, fresh.expose()],
        )?;
        let mut kept: [u8; 32] = connection
            .query_row("SELECT bytes FROM own_key WHERE name = ?1", params![name], |row| row.get(0))
            .optional()?
            .ok_or(Fault::Damaged("the platform store"))?;
        Ok(SecretBytes::take(&mut kept))
    }

    /// Reads on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let this = self.clone();
        blocking(move || query(&this.lock())).await
    }

    /// Writes in one durable transaction, then forgets what was cached of it.
    pub(crate) async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        forget: impl FnOnce(&mut Cache) + Send + 'static,
    ) -> Result<T, Fault> {
        let this = self.clone();
        blocking(move || this.write_now(work, forget)).await
    }

    /// As [`Self::write`], for threads that may block.
    pub(crate) fn write_now<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
        forget: impl FnOnce(&mut Cache),
    ) -> Result<T, Fault> {
        let connection = self.lock();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(&connection).and_then(|value| {
            connection.execute_batch("COMMIT")?;
            Ok(value)
        });
        if done.is_err() {
            if let Err(error) = connection.execute_batch("ROLLBACK") {
                tracing::debug!(%error, "there was nothing to roll back");
            }
        } else {
            self.cache().forget(forget);
        }
        done
    }

    pub(crate) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
