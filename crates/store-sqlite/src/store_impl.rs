//! [`EmbeddedStore`]: the backend as one value, and the ports that are a few lines each.

use crate::error::Fault;
use crate::files::DataFolder;
use crate::handles::Handles;
use crate::journal::{Journal, Segment};
use crate::keys::{LogAge, TenantKeys};
use crate::opening::{OpenError, Settings, open_platform};
use crate::platform::Platform;
use crate::rows::Tables;
use crate::tenant::{Append, Database, TenantHandle, Txn};
use async_trait::async_trait;
use audit::event::Draft;
use context::{
    AuditLog, AuditUnavailable, CredentialIndex, IndexEntry, IndexUnavailable, KeyedHash, Origin, Private,
    Tenant, TenantStanding,
};
use env::Env;
use ids::{Id, Slug, TenantId};
use kms::Kms;
use secret::SecretBytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Commit, KeyPurpose, PendingWork, StoreError, TenantKeyring, WorkIndex, WorkKind};
use store_core::leases::LocalLeases;

/// The embedded backend.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) folder: DataFolder,
    pub(crate) platform: Arc<Platform>,
    pub(crate) kms: Arc<dyn Kms>,
    pub(crate) handles: Handles,
    journals: Mutex<HashMap<Slug, Arc<Journal>>>,
    pub(crate) home: Slug,
    durable: bool,
    /// Which server of those that came one after the other it is.
    pub(crate) generation: u64,
    /// Held by whoever puts another file in the place of a tenant's, and by a backup of everything at its end.
    pub(crate) whole_files: tokio::sync::RwLock<()>,
    pub(crate) leases: LocalLeases,
    env: Env,
    /// When the journals are looked at again for what waits to be folded.
    pub(crate) next_look: AtomicI64,
    /// When the copies that migrations kept are looked at again.
    pub(crate) next_tidying: AtomicI64,
    /// Held for as long as the store is open.
    _lock: File,
}

impl Inner {
    /// What a log of this epoch says of itself.
    pub(crate) fn log_age(&self, epoch: u64) -> LogAge {
        LogAge { epoch, generation: self.generation }
    }
}

impl EmbeddedStore {
    /// Opens the data folder, and makes it if it is not there.
    pub async fn open(settings: Settings, kms: Arc<dyn Kms>, env: Env) -> Result<Self, OpenError> {
        Self::open_as(settings, kms, env, false).await
    }

    /// Opens a data folder that was put back, to say that the server before is gone.
    pub(crate) async fn open_put_back(
        settings: Settings,
        kms: Arc<dyn Kms>,
        env: Env,
    ) -> Result<Self, OpenError> {
        Self::open_as(settings, kms, env, true).await
    }

    async fn open_as(
        settings: Settings,
        kms: Arc<dyn Kms>,
        env: Env,
        put_back: bool,
    ) -> Result<Self, OpenError> {
        let home = settings.regions.first().ok_or(OpenError::NoRegion)?.clone();
        let folder = DataFolder::at(&settings.folder)?;
        let lock = crate::files::lock(&folder.lock())?.ok_or(OpenError::InUse)?;
        let platform = open_platform(&folder, kms.as_ref(), &env).await?;
        let server = platform.server()?;
        if let Some((from, _)) = server.put_back.filter(|_| !put_back) {
            return Err(OpenError::PutBack(from));
        }
        let store = Self(Arc::new(Inner {
            folder,
            generation: server.generation,
            whole_files: tokio::sync::RwLock::default(),
            platform,
            kms,
            handles: Handles::default(),
            journals: Mutex::default(),
            home,
            durable: settings.durable,
            leases: LocalLeases::default(),
            env,
            next_look: AtomicI64::new(0),
            next_tidying: AtomicI64::new(0),
            _lock: lock,
        }));
        store.open_journals(&settings.regions)?;
        store.make_operator_log().await?;
        store.finish_erasures().await?;
        Ok(store)
    }

    /// The key under which credentials are hashed in the index. Random, and kept in the platform store.
    pub fn index_key(&self) -> Result<SecretBytes<32>, StoreError> {
        Ok(self.0.platform.own_key("credential index")?)
    }

    /// The key under which the operator's own secrets, such as endpoints' keys, are sealed.
    pub fn operator_secrets_key(&self) -> Result<SecretBytes<32>, StoreError> {
        Ok(self.0.platform.own_key("operator secrets")?)
    }

    /// How many transactions the node journals have committed since the start: how often writes have waited
    /// for the disk, however many of them shared each wait.
    pub fn journal_commits(&self) -> u64 {
        self.journals().values().map(|journal| journal.commits()).sum()
    }

    /// Whether the writer of every node journal is alive: each answers an empty transaction.
    pub(crate) async fn probe_journals(&self) -> Result<(), StoreError> {
        let journals: Vec<_> = self.journals().values().cloned().collect();
        for journal in journals {
            journal.probe().await?;
        }
        Ok(())
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn env(&self) -> Env {
        self.0.env.clone()
    }

    /// The tenant's handle, for the tenant whose visit this is.
    pub(crate) async fn handle(&self, tenant: &Tenant<'_>) -> Result<Arc<TenantHandle>, StoreError> {
        Ok(self.handle_of(tenant.id()).await?)
    }

    /// A tenant's handle by id: for the visits above, and for what is done to a store as a whole.
    pub(crate) async fn handle_of(&self, id: TenantId) -> Result<Arc<TenantHandle>, Fault> {
        self.0.handles.get(id, self.0.env.now(), || self.make_handle(id)).await
    }

    async fn make_handle(&self, id: TenantId) -> Result<Arc<TenantHandle>, Fault> {
        let inner = &self.0;
        let wrapped = inner.platform.wrapped_keys(id).await?.ok_or(Fault::KeyGone)?;
        let (region, epoch) = if id == operator_log() {
            // It ends and begins with the server's generation.
            (inner.home.clone(), inner.generation)
        } else {
            let row = inner.platform.tenant_row(id).await?.ok_or(Fault::KeyGone)?;
            (row.region, inner.platform.log_epoch(id).await?)
        };
        let keys =
            crate::keys::unwrap(inner.kms.as_ref(), id, &region, inner.log_age(epoch), &wrapped).await?;
        let path = inner.folder.tenant(&region, id)?;
        if wrapped.changing {
            let (platform, path) = (inner.platform.clone(), path.clone());
            crate::tenant::blocking(move || crate::key_change::finish(&platform, id, &path)).await?;
        }
        let journal = self.journal(&region)?;
        Ok(TenantHandle::new(id, keys, path, journal, inner.handles.openings(), inner.env.clone()))
    }

    /// The journal of a region.
    pub(crate) fn journal(&self, region: &Slug) -> Result<Arc<Journal>, Fault> {
        let refused = || StoreError::Invalid(format!("This server keeps no data in the region `{region}`."));
        Ok(self.journals().get(region).cloned().ok_or_else(refused)?)
    }

    /// Opens the journals of these regions and of all that have one already: work under way is looked for
    /// in every journal when the server starts.
    fn open_journals(&self, regions: &[Slug]) -> Result<(), Fault> {
        for region in regions.iter().cloned().chain(self.0.folder.regions()?) {
            let path = self.0.folder.journal(&region)?;
            if let Entry::Vacant(place) = self.journals().entry(region) {
                let journal = Journal::open(&path, Segment::fresh(&self.0.env), self.0.durable)?;
                place.insert(Arc::new(journal));
            }
        }
        Ok(())
    }

    /// Every region's journal.
    pub(crate) fn all_journals(&self) -> Vec<(Slug, Arc<Journal>)> {
        self.journals().iter().map(|(region, journal)| (region.clone(), journal.clone())).collect()
    }

    pub(crate) fn journals(&self) -> std::sync::MutexGuard<'_, HashMap<Slug, Arc<Journal>>> {
        self.0.journals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operators' log is a log like any tenant's, under an id that no tenant has.
    async fn make_operator_log(&self) -> Result<(), Fault> {
        let id = operator_log();
        if self.0.platform.wrapped_keys(id).await?.is_none() {
            let keys = crate::keys::WrappedKeys::make(self.0.kms.as_ref(), id, &self.0.env).await?;
            self.0.platform.replace_keys(id, keys).await?;
        }
        Ok(())
    }

    /// Reads from the tenant's tables. Whose they are is what the database itself says.
    pub(crate) async fn read_private<'t, T: Send + 'static>(
        &self,
        tenant: &Tenant<'t>,
        query: impl FnOnce(&Database, &TenantKeys) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Private<'t, T>, StoreError> {
        let handle = self.handle(tenant).await?;
        Ok(arrived(tenant, handle.read(with_identity(&handle, query)).await?))
    }

    /// What the tenant's handle knows without the tables, whose keys have opened under the tenant's id.
    pub(crate) async fn known_private<'t, T>(
        &self,
        tenant: &Tenant<'t>,
        known: impl FnOnce(&TenantHandle) -> Option<T>,
    ) -> Result<Option<Private<'t, T>>, StoreError> {
        let handle = self.handle(tenant).await?;
        Ok(known(&handle).map(|value| arrived(tenant, (handle.id, value))))
    }

    /// The same for a look-up by key in no other tables than these.
    pub(crate) async fn look_up_private<'t, T: Send + 'static>(
        &self,
        tenant: &Tenant<'t>,
        tables: Tables,
        query: impl FnOnce(&Database, &TenantKeys) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Private<'t, T>, StoreError> {
        let handle = self.handle(tenant).await?;
        Ok(arrived(tenant, handle.look_up(tables, with_identity(&handle, query)).await?))
    }

    /// Writes to the tenant's tables and gives back what was written.
    pub(crate) async fn write_private<'t, T: Send + 'static>(
        &self,
        tenant: &Tenant<'t>,
        needs_file: bool,
        commit: Commit,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Private<'t, T>, StoreError> {
        let handle = self.handle(tenant).await?;
        let work = move |txn: &mut Txn<'_>| Ok((txn.identity, work(txn)?));
        Ok(arrived(tenant, handle.write(needs_file, commit, work).await?))
    }

    /// What the tenant's plan lets it store.
    pub(crate) fn quota(&self, tenant: &Tenant<'_>) -> Quota {
        Quota(tenant.standing().limits.storage_bytes)
    }
}

/// The id under which the operators' own log is kept: the ULID of all zeros, which no clock gives.
pub(crate) fn operator_log() -> TenantId {
    TenantId::from_bytes([0; 16])
}

/// The bytes that a tenant may store.
#[derive(Clone, Copy)]
pub(crate) struct Quota(Option<u64>);

impl Quota {
    /// Refuses what would grow the tenant's tables beyond the plan. Audit and usage are not asked: they must
    /// be written also when the tenant is full.
    pub(crate) fn admit(self, txn: &Txn<'_>, growth: usize) -> Result<(), Fault> {
        let Some(limit) = self.0 else { return Ok(()) };
        let stored = crate::tenant::used_bytes(txn.tables())?;
        if stored.saturating_add(growth as u64) > limit {
            Err(StoreError::QuotaExceeded.into())
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl CredentialIndex for EmbeddedStore {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        self.0.platform.credential(hash).await.map_err(unavailable)
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        self.0.platform.standing(tenant).await.map_err(unavailable)
    }
}

/// A query together with the tenant that the database says it is of.
fn with_identity<T>(
    handle: &Arc<TenantHandle>,
    query: impl FnOnce(&Database, &TenantKeys) -> Result<T, Fault> + Send + 'static,
) -> impl FnOnce(&Database) -> Result<(TenantId, T), Fault> + Send + 'static {
    let keys_of = handle.clone();
    move |database| Ok((database.identity, query(database, &keys_of.keys())?))
}

/// What came out of the tables of the tenant that they say they are of.
fn arrived<'t, T>(tenant: &Tenant<'t>, (identity, value): (TenantId, T)) -> Private<'t, T> {
    Private::arrived(tenant, Origin::authenticated(identity), value)
}

fn unavailable(fault: Fault) -> IndexUnavailable {
    tracing::error!(%fault, "the credential index could not be read");
    IndexUnavailable
}

#[async_trait]
impl AuditLog for EmbeddedStore {
    async fn append(&self, tenant: &Tenant<'_>, draft: Draft) -> Result<(), AuditUnavailable> {
        let handle = self.handle(tenant).await.map_err(|_| AuditUnavailable)?;
        let append = Append { events: vec![draft], ..Append::default() };
        handle.append(append).await.map(drop).map_err(|fault| {
            tracing::error!(tenant.id = %tenant.id(), %fault, "an audit event could not be written");
            AuditUnavailable
        })
    }
}

#[async_trait]
impl TenantKeyring for EmbeddedStore {
    async fn key(&self, tenant: &Tenant<'_>, purpose: KeyPurpose) -> Result<SecretBytes<32>, StoreError> {
        Ok(self.handle(tenant).await?.keys().derived(purpose))
    }
}

#[async_trait]
impl WorkIndex for EmbeddedStore {
    async fn pending(&self, kind: WorkKind) -> Result<Vec<PendingWork>, StoreError> {
        let mut all = Vec::new();
        let journals: Vec<_> = self.journals().values().cloned().collect();
        for journal in journals {
            all.extend(crate::tenant::blocking(move || journal.pending(kind)).await?);
        }
        all.sort_by_key(|work| work.id);
        Ok(all)
    }

    async fn tenants_at_rest(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        let (folder, regions) = (self.inner().folder.clone(), self.journals().keys().cloned().collect());
        let mut all = crate::tenant::blocking(move || {
            let regions: Vec<Slug> = regions;
            regions.iter().try_fold(Vec::new(), |mut all, region| {
                all.extend(folder.tenants(region)?);
                Ok::<_, Fault>(all)
            })
        })
        .await?;
        all.sort();
        Ok(all.into_iter().filter(|id| after.is_none_or(|after| *id > after)).take(limit as usize).collect())
    }
}
