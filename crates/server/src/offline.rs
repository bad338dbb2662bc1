//! Work on a data folder whose server is stopped, for the commands that need it. The store holds the folder
//! for one process, so that a running server makes this refuse.

use crate::config::Config;
use crate::failures::Failures;
use crate::{escrow, system};
use async_trait::async_trait;
use audit::event::Action;
use cli::{FootingLine, Offline, WantedAttack, WantedRestore, WantedStore};
use context::event::operator_draft;
use context::{
    AuditLog, Authenticator, Caller, CredentialIndex, IndexKey, Operator, Presented, RequestFacts,
};
use kms_file::{FileKms, MasterKey};
use secret::{SecretBytes, SecretText};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::OperatorStore;
use store_postgres::{KeyRotation, PostgresStore};
use store_sqlite::{EmbeddedStore, Settings, regions_of};
use verify::Report;

const ROTATE: Action = Action::new("keys.rotate");

/// The embedded store's folder.
pub(crate) struct DataFolder;

#[async_trait]
impl Offline for DataFolder {
    fn begin_to_serve(&self) -> Result<(), String> {
        crate::logging::start(None, None, false)
            .map_err(|error| format!("the log cannot be written: {error}"))?;
        hardening::protect_process().map_err(|error| format!("this process could not be protected: {error}"))
    }

    fn split_master_key(
        &self,
        key: &Path,
        threshold: u8,
        shares: u8,
        folder: &Path,
    ) -> Result<Vec<PathBuf>, String> {
        escrow::split(key, threshold, shares, folder)
    }

    fn recover_master_key(&self, shares: &[PathBuf], key: &Path) -> Result<String, String> {
        escrow::recover(shares, key)
    }

    async fn footing(&self, config: &Path) -> Result<Option<Vec<FootingLine>>, String> {
        let store = Config::load(Some(config)).map_err(|error| error.to_string())?.store;
        let Some(url) = store.url else { return Ok(None) };
        let tls = crate::stores::tls(&store.tls).map_err(|error| error.to_string())?;
        let footing = store_postgres::footing(url.expose(), &tls).await.map_err(|error| error.to_string())?;
        let line = |row: store_postgres::FootingRow| FootingLine {
            check: row.check.to_owned(),
            ok: row.ok,
            found: row.found,
        };
        Ok(Some(footing.rows.into_iter().map(line).collect()))
    }

    async fn attack_store(&self, wanted: WantedAttack) -> Result<Report, String> {
        crate::store_attack::run(wanted).await
    }

    async fn restore_all(&self, wanted: WantedRestore) -> Result<Value, String> {
        crate::restore::restore_all(wanted).await
    }

    async fn rewrap_keys(
        &self,
        store: WantedStore<'_>,
        present: &Path,
        previous: &Path,
        operator: SecretText,
    ) -> Result<u64, String> {
        // Two master keys are about to be in this process's memory.
        hardening::protect_process()
            .map_err(|error| format!("this process could not be protected: {error}"))?;
        let load = |path: &Path| {
            MasterKey::load(path).map_err(|error| format!("the master key file {}: {error}", path.display()))
        };
        let kms = Arc::new(FileKms::new(system::env(), load(present)?, Some(load(previous)?)));
        match store {
            WantedStore::Folder(folder) => rewrap_in_folder(folder, kms, operator).await,
            WantedStore::Database(config) => rewrap_in_database(config, kms, operator).await,
        }
    }
}

/// The keys that the embedded server of a folder has for itself.
pub(crate) async fn own_keys(
    data: &Path,
    kms: Arc<FileKms>,
    env: env::Env,
) -> Result<[(&'static str, SecretBytes<32>); 2], String> {
    if !data.join("platform.db").exists() {
        return Err(format!("{} has no platform store", data.display()));
    }
    let regions = regions_of(data).map_err(|error| error.to_string())?;
    let settings = Settings { folder: data.to_owned(), regions, durable: true };
    let store = EmbeddedStore::open(settings, kms, env).await.map_err(|error| error.to_string())?;
    let keys = store.index_key().and_then(|index| Ok((index, store.operator_secrets_key()?)));
    store.close().await;
    let (index, secrets) = keys.map_err(|error| error.to_string())?;
    Ok([("credential index", index), ("operator secrets", secrets)])
}

async fn rewrap_in_folder(data: &Path, kms: Arc<FileKms>, operator: SecretText) -> Result<u64, String> {
    if !data.join("platform.db").exists() {
        return Err(format!("{} has no platform store", data.display()));
    }
    let regions = regions_of(data).map_err(said)?;
    let settings = Settings { folder: data.to_owned(), regions, durable: true };
    let store = EmbeddedStore::open(settings, kms, system::env()).await.map_err(said)?;
    let rewrapping = async {
        let operator = note_rotation(&store, store.index_key().map_err(said)?, operator).await?;
        store.rewrap_keys(&operator).await.map_err(said)
    };
    let outcome = rewrapping.await;
    store.close().await;
    outcome
}

async fn rewrap_in_database(config: &Path, kms: Arc<FileKms>, operator: SecretText) -> Result<u64, String> {
    let store = Config::load(Some(config)).map_err(said)?.store;
    let missing = |name: &str| format!("`[store] {name}` is missing in {}", config.display());
    let url = store.url.clone().ok_or_else(|| missing("url"))?;
    let admin_url = store.admin_url.as_ref().ok_or_else(|| missing("admin_url"))?;
    let tls = crate::stores::tls(&store.tls).map_err(said)?;
    let rotation =
        KeyRotation::enter(admin_url.expose(), url.expose(), &tls, kms.clone()).await.map_err(said)?;
    {
        let settings = crate::stores::settings(&store, &url, tls);
        let store = PostgresStore::open(settings, kms, system::env()).await.map_err(said)?;
        let index_key = store.index_key().await.map_err(said)?;
        note_rotation(&store, index_key, operator).await?;
    }
    // The store's own connections are gone a moment after it.
    rotation.rewrap().await.map_err(said)
}

/// What is wrong, in words.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Writes into the operators' log that an operator rotates the master key.
async fn note_rotation<S>(store: &S, index_key: SecretBytes<32>, key: SecretText) -> Result<Operator, String>
where
    S: CredentialIndex + AuditLog + OperatorStore + Clone + 'static,
{
    let operator = admit(store, index_key, key).await?;
    let event = operator_draft(&operator, ROTATE, "master_key", "tenant_keys");
    store.append_operator_events(&operator, vec![event]).await.map_err(said)?;
    Ok(operator)
}

/// The operator behind a key, by the same authentication as over HTTP.
async fn admit<S>(store: &S, index_key: SecretBytes<32>, key: SecretText) -> Result<Operator, String>
where
    S: CredentialIndex + AuditLog + Clone + 'static,
{
    let shared = Arc::new(store.clone());
    let env = system::env();
    let authenticator = Authenticator::new(
        shared.clone(),
        shared,
        Arc::new(Failures::default()),
        Arc::new(IndexKey::new(index_key)),
        String::new(),
        env.clone(),
    );
    let presented = Presented { credential: Some(key), tenant_header: None };
    match authenticator.authenticate(&presented, RequestFacts::internal(env.id())).await {
        Ok(Caller::Operator(operator)) => {
            operator.must_change().map_err(|_| "this operator may only look".to_owned())?;
            Ok(operator)
        }
        Ok(Caller::Tenant(_) | Caller::Grant(_)) | Err(_) => {
            Err("the operator's key is not one of this store's".to_owned())
        }
    }
}
