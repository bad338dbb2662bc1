//! The store: opening it, and how a visit becomes a transaction.

use crate::Tls;
use crate::error::Fault;
use crate::footing::examine;
use crate::home::{Home, Param, Session, params};
use crate::homes::{Homes, Overlook};
use crate::init::SetupError;
use crate::link::Link;
use crate::platform::{ASK_EVERY, Platform};
use crate::schema::Place;
use crate::tenant::{self, CONTENT, Keys, TenantHandle, Txn};
use crate::token;
use async_trait::async_trait;
use audit::event::Draft;
use context::{AuditLog, AuditUnavailable, Operator, Origin, Private, Tenant};
use env::Env;
use ids::{Id as _, Slug, TenantId};
use kms::Kms;
use lru::LruCache;
use secret::{SecretBytes, SecretText};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use store::{Commit, Isolation, KeyPurpose, StoreError, TenantKeyring};
use store_core::keys::{LogAge, TenantKeys, WorkingKeys, WrappedKeys};
use tokio_postgres::Row;

/// How the store is opened.
pub struct Settings {
    /// The address of the database, with the run-time role.
    pub url: SecretText,
    /// The regions whose data rests here. The first is that of the operators' own log.
    pub regions: Vec<Slug>,
    /// How many connections to the shared tables there are at most.
    pub connections: usize,
    /// How many tenants' own homes are open at once. Each has at most four connections.
    pub own_homes: NonZeroUsize,
    /// How long a tenant's making waits for its own home. It takes a fraction of a second where somebody makes it.
    pub patience: Duration,
    /// What TLS goes by where the database is across a network.
    pub tls: Tls,
    /// Whose runs are carried out here.
    pub carries: Carries,
    /// The pool whose runs are carried out here, and no others; those of no pool where absent.
    pub pool: Option<Slug>,
}

/// Whose runs a process carries out. It is asked in the claim itself, whoever wants a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Those of tenants that have no worker of their own.
    Shared,
    /// Everybody's, as the cases of the stores' suite need it. No server and no worker is opened so.
    Everybodys,
}

/// How many tenants are in use at once.
const IN_USE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// All tenants of a database, and what is known of them.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) platform: Platform,
    pub(crate) kms: Arc<dyn Kms>,
    pub(crate) regions: Vec<Slug>,
    pub(crate) homes: Homes,
    handles: Mutex<LruCache<TenantId, Arc<TenantHandle>>>,
    env: Env,
    pub(crate) carries: Carries,
    pub(crate) pool: Option<Slug>,
    /// The tenant whose own worker this is.
    own: Option<TenantId>,
}

impl Inner {
    /// The tenant whose own worker this is: the platform's tables are out of its reach, and so is everybody else.
    pub(crate) fn own(&self) -> Option<TenantId> {
        self.own
    }

    /// Whether a tenant of this kind is in a home, which may be one of the same kind that it was in before.
    pub(crate) async fn is_in(&self, id: TenantId, isolation: Isolation, home: &Home) -> Result<bool, Fault> {
        match home.isolation() {
            None => Ok(isolation == Isolation::Pooled),
            Some(kind) if kind != isolation => Ok(false),
            Some(_) => Ok(self.platform.home(id).await?.is_some_and(|row| home.is_sealed_as(&row.sealed))),
        }
    }
}

/// The operators' own log is kept as a tenant's is, under an id that no tenant has.
pub(crate) fn operator_log() -> TenantId {
    TenantId::from_bytes([0; 16])
}

impl PostgresStore {
    /// Opens the database, which [`crate::init`] has made, and sees to it that it keeps tenants apart.
    pub async fn open(settings: Settings, kms: Arc<dyn Kms>, env: Env) -> Result<Self, SetupError> {
        let client = Link::parse(settings.url.expose(), &settings.tls)?.connect().await?;
        examine(&client, &Place::Platform).await?.held()?;
        Self::open_whatever(settings, kms, env, Overlook::Nothing).await
    }

    /// Opens a database that is to be attacked: what does not hold there is for the attack to find. No real tenant's
    /// content may go through it.
    pub async fn open_to_attack(settings: Settings, kms: Arc<dyn Kms>, env: Env) -> Result<Self, SetupError> {
        Self::open_whatever(settings, kms, env, Overlook::Footing).await
    }

    async fn open_whatever(
        settings: Settings,
        kms: Arc<dyn Kms>,
        env: Env,
        overlook: Overlook,
    ) -> Result<Self, SetupError> {
        let link = Link::parse(settings.url.expose(), &settings.tls)?;
        let home_region = settings.regions.first().ok_or(SetupError::Missing("region"))?.clone();
        let client = link.connect().await?;
        let key = token::stored(&client, kms.as_ref()).await.map_err(|_| SetupError::WrongMasterKey)?;
        let key = key.ok_or(Fault::Damaged("the token key"))?;
        let own = (kms.clone(), env.clone());
        let homes = Homes::new((link, settings.connections), key, own, (settings.own_homes, overlook))?;
        let store = Self(Arc::new(Inner {
            platform: Platform::new(homes.shared().clone(), env.clone(), settings.patience),
            kms,
            regions: settings.regions,
            homes,
            handles: Mutex::new(LruCache::new(IN_USE)),
            env,
            carries: settings.carries,
            pool: settings.pool,
            own: None,
        }));
        store.make_operator_log(home_region).await?;
        store.0.platform.ask_for_changes().await;
        tokio::spawn(keep_asking(Arc::downgrade(&store.0)));
        Ok(store)
    }

    /// The key of the credential index.
    pub async fn index_key(&self) -> Result<SecretBytes<32>, StoreError> {
        Ok(self.0.platform.own_key(self.0.kms.as_ref(), "credential index").await?)
    }

    /// The key of what operators keep sealed.
    pub async fn operator_secrets_key(&self) -> Result<SecretBytes<32>, StoreError> {
        Ok(self.0.platform.own_key(self.0.kms.as_ref(), "operator secrets").await?)
    }

    /// Asks the database at once whether anything that is remembered has changed.
    pub async fn look_for_changes(&self) {
        self.0.platform.ask_for_changes().await;
    }

    /// Ready when this server has changed something that others remember, since it was asked last. One asks at a time.
    pub async fn changed(&self) {
        self.0.platform.known.changed().await;
    }

    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// The store of one tenant's own worker: this home, these keys, and nothing that leads anywhere else.
    pub(crate) fn of_one(
        (id, region): (TenantId, Slug),
        (homes, home): (Homes, Arc<Home>),
        keys: WorkingKeys,
        (kms, env): (Arc<dyn Kms>, Env),
    ) -> Self {
        let platform = Platform::new(homes.shared().clone(), env.clone(), Duration::ZERO);
        Self(Arc::new_cyclic(|inner| {
            let place = tenant::Place::new(home, inner.clone());
            let handle = TenantHandle::new(id, place, Keys::Working(keys), env.clone());
            let mut handles = LruCache::new(NonZeroUsize::MIN);
            handles.put(id, Arc::new(handle));
            let handles = Mutex::new(handles);
            let (regions, carries) = (vec![region], Carries::Shared);
            Inner { platform, kms, regions, homes, handles, env, carries, pool: None, own: Some(id) }
        }))
    }

    /// Whether the keys that a tenant's own worker was given are still those that its content is sealed under.
    pub fn keys_hold(&self) -> bool {
        self.0.own.is_none_or(|id| self.in_use(id).is_some_and(|handle| !handle.is_stale()))
    }

    /// Removes the home of a tenant that never came to be, since whoever made it was stopped in between.
    pub async fn remove_orphan(&self, _: &Operator, tenant: TenantId) -> Result<(), StoreError> {
        let platform = &self.0.platform;
        let Some(isolation) = platform.orphan(tenant).await? else { return Ok(()) };
        platform.unmake_home(tenant, isolation).await?;
        if platform.home_is_gone(tenant).await { Ok(()) } else { Err(StoreError::ProvisioningUnavailable) }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn env(&self) -> Env {
        self.0.env.clone()
    }

    async fn make_operator_log(&self, region: Slug) -> Result<(), Fault> {
        let id = operator_log();
        if self.0.platform.wrapped_keys(id).await?.is_none() {
            let keys = WrappedKeys::make(self.0.kms.as_ref(), id, &self.0.env).await?;
            let handle = self.unborn(id, self.0.homes.shared(), &region, &keys, LogAge::FIRST).await?;
            let (session, _) = handle.home().begin(id, "BEGIN").await?;
            // Another server may have been first.
            if self.0.platform.add_keys(&session, id, &keys).await? {
                begin_log(&session, &handle).await?;
                session.commit().await?;
            } else {
                session.roll_back().await?;
            }
        }
        Ok(())
    }

    /// What a tenant will be in use, before it is there.
    pub(crate) async fn unborn(
        &self,
        id: TenantId,
        home: &Arc<Home>,
        region: &Slug,
        keys: &WrappedKeys,
        age: LogAge,
    ) -> Result<Arc<TenantHandle>, Fault> {
        let inner = &self.0;
        let keys = TenantKeys::unwrap(inner.kms.as_ref(), id, region, age, keys, &CONTENT).await?;
        let place = tenant::Place::new(home.clone(), Arc::downgrade(inner));
        Ok(Arc::new(TenantHandle::new(id, place, Keys::Whole(Box::new(keys)), inner.env.clone())))
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, LruCache<TenantId, Arc<TenantHandle>>> {
        self.0.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tenant's home. Where another tenant's makes room for it, its keys go as well.
    pub(crate) async fn home(&self, id: TenantId, isolation: Isolation) -> Result<Arc<Home>, Fault> {
        let (home, evicted) = self.0.homes.of(&self.0.platform, id, isolation).await?;
        if let Some(evicted) = evicted {
            self.forget(evicted);
        }
        Ok(home)
    }

    /// Lets go of a tenant's keys.
    pub(crate) fn forget(&self, id: TenantId) {
        self.0.platform.known.forget();
        self.handles().pop(&id);
    }

    /// A tenant, where it is in use.
    pub(crate) fn in_use(&self, id: TenantId) -> Option<Arc<TenantHandle>> {
        self.handles().peek(&id).cloned()
    }

    pub(crate) async fn handle(&self, id: TenantId) -> Result<Arc<TenantHandle>, Fault> {
        if let Some(handle) = self.handles().get(&id).filter(|handle| !handle.is_stale()) {
            return Ok(handle.clone());
        }
        if self.0.own.is_some() {
            // Of nobody else are the keys here, and its own are given to whoever starts this process.
            return Err(Fault::KeyGone);
        }
        let wrapped = self.0.platform.wrapped_keys(id).await?.ok_or(Fault::KeyGone)?;
        let (region, isolation) = if id == operator_log() {
            (self.0.regions.first().cloned().ok_or(Fault::KeyGone)?, Isolation::Pooled)
        } else {
            let row = self.0.platform.tenant_row(id).await?.ok_or(Fault::KeyGone)?;
            (row.region, row.isolation)
        };
        let home = self.home(id, isolation).await?;
        let wrapped = self.settled(&home, id, wrapped).await?;
        let age = self.0.platform.log_age(id).await?;
        let handle = self.unborn(id, &home, &region, &wrapped, age).await?;
        self.handles().put(id, handle.clone());
        // Another tenant's home may have taken the place of this one's meanwhile, and then its connections are to go
        // with the last that uses it.
        if !self.0.homes.holds(id, &home) {
            self.forget(id);
        }
        Ok(handle)
    }

    /// Reads with one statement, and states where the answer came from.
    pub(crate) async fn read<'t, T>(
        &self,
        tenant: &Tenant<'t>,
        statement: &str,
        values: &[Param<'_>],
        shape: impl FnOnce(&TenantHandle, Vec<Row>) -> Result<T, Fault>,
    ) -> Result<Private<'t, T>, StoreError> {
        let handle = self.handle(tenant.id()).await?;
        let (origin, rows) = handle.read(statement, values).await?;
        let value = shape(&handle, rows)?;
        Ok(Private::arrived(tenant, Origin::authenticated(origin), value))
    }

    /// Reads with several statements that see the same moment.
    pub(crate) async fn read_with<'t, T, F>(
        &self,
        tenant: &Tenant<'t>,
        read: impl FnOnce(Arc<TenantHandle>, Arc<Session>) -> F,
    ) -> Result<Private<'t, T>, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let handle = self.handle(tenant.id()).await?;
        let (origin, value) = snapshot(handle, read).await?;
        Ok(Private::arrived(tenant, Origin::authenticated(origin), value))
    }

    /// Writes, while the lease holds that the visit may be under.
    pub(crate) async fn write<'t, T, F>(
        &self,
        tenant: &Tenant<'t>,
        commit: Commit,
        work: impl FnOnce(Txn) -> F + Send + 'static,
    ) -> Result<Private<'t, T>, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let written = self.handle(tenant.id()).await?.write_under(tenant.lease(), commit, work).await?;
        Ok(Private::arrived(tenant, Origin::authenticated(written.origin), written.value))
    }
}

/// Asks for changes as long as the store is there.
async fn keep_asking(store: Weak<Inner>) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let Some(store) = store.upgrade() else { return };
        store.platform.ask_for_changes().await;
    }
}

/// Reads with several statements that see the same moment.
pub(crate) async fn snapshot<T, F>(
    handle: Arc<TenantHandle>,
    read: impl FnOnce(Arc<TenantHandle>, Arc<Session>) -> F,
) -> Result<(TenantId, T), Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let id = handle.id;
    handle.queue.settled().await;
    let (session, origin) = handle.there(|home| async move { home.begin(id, begin).await }).await?;
    let session = Arc::new(session);
    let value = read(handle, session.clone()).await;
    if let Ok(session) = Arc::try_unwrap(session) {
        session.roll_back().await?;
    }
    Ok((origin, value?))
}

/// Writes the head of a log that has just begun.
pub(crate) async fn begin_log(session: &Session, handle: &TenantHandle) -> Result<(), Fault> {
    let head = crate::tenant::new_head(&handle.keys().origin);
    let (epoch, frontier) = (head.place.epoch.cast_signed(), head.frontier.to_bytes());
    session
        .execute_typed(
            "INSERT INTO log_head(data_key, epoch, size, last_hash, frontier, stored_bytes, at_rest)
             VALUES($4, $1, 0, $2, $3, 0, false)",
            params![epoch => INT8, head.place.prev_leaf_hash.as_slice() => BYTEA, frontier => BYTEA, handle.keys().data_name() => TEXT],
        )
        .await?;
    Ok(())
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn append(&self, tenant: &Tenant<'_>, draft: Draft) -> Result<(), AuditUnavailable> {
        // What has happened is noted, whoever has the run by now.
        let noted = async {
            let handle = self.handle(tenant.id()).await?;
            handle.write(Commit::event(draft), |_| async { Ok(()) }).await
        };
        let written = noted.await;
        written.map(drop).map_err(|error| {
            tracing::error!(tenant.id = %tenant.id(), %error, "an audit event could not be written");
            AuditUnavailable
        })
    }
}

#[async_trait]
impl TenantKeyring for PostgresStore {
    async fn key(&self, tenant: &Tenant<'_>, purpose: KeyPurpose) -> Result<SecretBytes<32>, StoreError> {
        Ok(self.handle(tenant.id()).await?.keys().derived(purpose))
    }
}
