//! A tenant's home: where its tables are and how they are reached. Every statement about a tenant goes through a
//! transaction that begins here with the tenant's token, and names tables without their schema, so that another
//! way to keep tenants apart is another home and no other statement.

use crate::error::Fault;
use crate::link::Link;
use crate::schema::POOLED;
use crate::token::Tokens;
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures::future::join_all;
use futures::join;
use ids::{Id as _, TenantId};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::Isolation;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

/// A value with the type that the statement takes it as.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A statement with its values.
pub(crate) type Read<'a> = (&'a str, &'a [Param<'a>]);

/// Values with their types: `params![name => TEXT, at => INT8]`.
macro_rules! params {
    ($($value:expr => $type:ident),* $(,)?) => {
        &[$((&$value as &(dyn tokio_postgres::types::ToSql + Sync), tokio_postgres::types::Type::$type)),*]
    };
}
pub(crate) use params;

/// Binds the transaction to the token's tenant and says which tenant the database takes it for.
pub(crate) const BIND: &str = "SELECT tenantry.current_tenant()
    FROM set_config('tenantry.tenant', $1, true) AS token, set_config('search_path', $2, true) AS tables";

/// What a statement says that would be about a whole table: the policies narrow it to the tenant's rows, and where
/// somebody has taken them away it is narrowed all the same.
pub(crate) const OWN: &str = "tenant_id = (SELECT tenantry.current_tenant())";

/// The time at the database, in milliseconds.
pub(crate) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";

/// For how long a note that a tenant may have work in its own home holds, and how long a server goes by one. No
/// transaction takes as long as what lies between.
const NOTED: &str = "10 minutes";
const NOTED_HERE_MILLIS: i64 = 300_000;
/// How long a connection to a tenant's own home is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);

/// Where tenants' tables are.
pub(crate) struct Home {
    pool: Pool,
    search_path: String,
    tokens: Arc<Tokens>,
    own: Option<Own>,
}

/// What a home has that is one tenant's own.
pub(crate) struct Own {
    isolation: Isolation,
    /// The password of its role, sealed: another home of the tenant's, made later, has another.
    sealed: Vec<u8>,
    /// The shared home, where the platform's tables are.
    platform: Arc<Home>,
    /// When the platform was last told that there may be work here.
    noted_at: AtomicI64,
}

impl Own {
    pub(crate) fn new(isolation: Isolation, sealed: Vec<u8>, platform: Arc<Home>) -> Self {
        Self { isolation, sealed, platform, noted_at: AtomicI64::new(i64::MIN) }
    }
}

impl Home {
    /// The shared tables of the database that `config` names.
    pub(crate) fn pooled(link: Link, connections: usize, tokens: Arc<Tokens>) -> Result<Self, Fault> {
        let pool = pool(link, connections, tokens.clone())?;
        Ok(Self { pool, search_path: POOLED.to_owned(), tokens, own: None })
    }

    /// One tenant's schema, reached as the tenant's role.
    pub(crate) fn own(
        link: Link,
        connections: usize,
        tokens: Arc<Tokens>,
        schema: String,
        own: Own,
    ) -> Result<Self, Fault> {
        Ok(Self {
            pool: pool(link, connections, tokens.clone())?,
            search_path: schema,
            tokens,
            own: Some(own),
        })
    }

    /// Closes the connections that nobody has used for a while.
    pub(crate) fn close_idle(&self) {
        self.pool.retain(|_, metrics| metrics.last_used() < IDLE);
    }

    /// Where work that is not over stands: where it commits together with what it is about.
    pub(crate) fn work(&self) -> &'static str {
        if self.own.is_some() { "work" } else { "tenantry.work" }
    }

    /// The kind of isolation, where it is a tenant's own home.
    pub(crate) fn isolation(&self) -> Option<Isolation> {
        self.own.as_ref().map(|own| own.isolation)
    }

    /// Whether it is the own home whose password is sealed so.
    pub(crate) fn is_sealed_as(&self, sealed: &[u8]) -> bool {
        self.own.as_ref().is_some_and(|own| own.sealed == sealed)
    }

    /// Says, before it is so, that there may be work here: servers look for it before they are inside any tenant.
    pub(crate) async fn announce_work(&self, tenant: TenantId) -> Result<(), Fault> {
        let Some(own) = &self.own else { return Ok(()) };
        let now = self.tokens.now().millis();
        // Where the clock was put back it is said anew.
        let since = now.checked_sub(own.noted_at.load(Ordering::Relaxed));
        if since.is_some_and(|since| (0..NOTED_HERE_MILLIS).contains(&since)) {
            return Ok(());
        }
        let note = format!(
            "INSERT INTO tenantry.work_elsewhere(tenant, until) VALUES($1, clock_timestamp() + interval '{NOTED}')
             ON CONFLICT (tenant) DO UPDATE SET until = excluded.until"
        );
        let id = tenant.to_bytes();
        own.platform.session().await?.execute_typed(&note, params![id.as_slice() => BYTEA]).await?;
        own.noted_at.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// The connection on which the platform is told that the tenant stores something: its own where a tenant's home
    /// is elsewhere, and else nothing, since the transaction's will do.
    pub(crate) async fn platform_session(&self) -> Result<Option<Session>, Fault> {
        match &self.own {
            Some(own) => Ok(Some(own.platform.session().await?)),
            None => Ok(None),
        }
    }

    /// A connection, which goes back to the pool only when what was begun on it has ended.
    pub(crate) async fn session(&self) -> Result<Session, Fault> {
        Ok(Session { object: self.pool.get().await?, busy: false })
    }

    /// Begins a transaction of a tenant's, and says which tenant the database took it for.
    pub(crate) async fn begin(&self, tenant: TenantId, how: &str) -> Result<(Session, TenantId), Fault> {
        self.bound(|| self.try_begin(tenant, how)).await
    }

    async fn try_begin(&self, tenant: TenantId, how: &str) -> Result<(Session, TenantId), Fault> {
        let mut session = self.session().await?;
        session.busy = true;
        let (begun, bound) = join!(session.batch_execute(how), self.bind(&session, tenant));
        begun?;
        let origin = taken_for(tenant, &bound?)?;
        Ok((session, origin))
    }

    /// Begins a transaction that is written in, and reads with its first statements, in one round trip.
    pub(crate) async fn begin_with(
        &self,
        tenant: TenantId,
        first: &[(&str, &[Param<'_>])],
    ) -> Result<(Session, TenantId, Vec<Vec<Row>>), Fault> {
        self.bound(|| self.try_begin_with(tenant, first)).await
    }

    async fn try_begin_with(
        &self,
        tenant: TenantId,
        first: &[(&str, &[Param<'_>])],
    ) -> Result<(Session, TenantId, Vec<Vec<Row>>), Fault> {
        let mut session = self.session().await?;
        session.busy = true;
        let reading = first.iter().map(|(statement, values)| session.query_typed(statement, values));
        let (begun, bound, found) =
            join!(session.batch_execute("BEGIN"), self.bind(&session, tenant), join_all(reading));
        begun?;
        let origin = taken_for(tenant, &bound?)?;
        let found = found.into_iter().collect::<Result<_, _>>()?;
        Ok((session, origin, found))
    }

    /// Tries once more where the token was refused: the clocks may have come apart since the connection was made.
    async fn bound<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let first = attempt().await;
        if !matches!(first, Err(Fault::NotBound)) {
            return first;
        }
        self.ask_the_time().await?;
        attempt().await
    }

    async fn ask_the_time(&self) -> Result<(), Fault> {
        let session = self.session().await?;
        self.tokens.database_time(session.query_typed_one(NOW, &[]).await?.try_get(0)?);
        Ok(())
    }

    /// Reads with some statements, in one round trip: nothing is waited for before all has been sent. The token is
    /// judged as of the moment that is read, so that a tenant that leaves in between is not read as an empty one.
    pub(crate) async fn read(
        &self,
        tenant: TenantId,
        reads: &[Read<'_>],
    ) -> Result<(TenantId, Vec<Vec<Row>>), Fault> {
        self.bound(|| self.try_read(tenant, reads)).await
    }

    async fn try_read(
        &self,
        tenant: TenantId,
        reads: &[Read<'_>],
    ) -> Result<(TenantId, Vec<Vec<Row>>), Fault> {
        let mut session = self.session().await?;
        session.busy = true;
        let reading = reads.iter().map(|(statement, values)| session.query_typed(statement, values));
        let (begun, bound, found, ended) = join!(
            session.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            self.bind(&session, tenant),
            join_all(reading),
            session.batch_execute("COMMIT"),
        );
        begun?;
        ended?;
        session.busy = false;
        let origin = taken_for(tenant, &bound?)?;
        Ok((origin, found.into_iter().collect::<Result<_, _>>()?))
    }

    /// Reads with one statement.
    pub(crate) async fn read_one(&self, tenant: TenantId, read: Read<'_>) -> Result<Vec<Row>, Fault> {
        let (_, mut found) = self.read(tenant, &[read]).await?;
        Ok(found.pop().unwrap_or_default())
    }

    /// Writes with one statement, in one round trip. The statement compares the tenant by itself, since its transaction
    /// is over before the answer is here.
    pub(crate) async fn write_bound(
        &self,
        mut session: Session,
        tenant: TenantId,
        (statement, values): (&str, &[Param<'_>]),
    ) -> Result<(TenantId, Row), Fault> {
        session.busy = true;
        let (begun, bound, written, ended) = join!(
            session.batch_execute("BEGIN"),
            self.bind(&session, tenant),
            session.query_typed_one(statement, values),
            session.batch_execute("COMMIT"),
        );
        session.busy = ended.is_err();
        begun?;
        let origin = taken_for(tenant, &bound?)?;
        let written = written?;
        ended?;
        Ok((origin, written))
    }

    /// Gives a transaction that may take longer than its token a fresh one.
    pub(crate) async fn renew(&self, session: &Session, tenant: TenantId) -> Result<(), Fault> {
        taken_for(tenant, &self.bind(session, tenant).await?).map(drop)
    }

    async fn bind(&self, session: &Session, tenant: TenantId) -> Result<Option<Vec<u8>>, Fault> {
        let token = self.tokens.make(tenant);
        let values = params![token.expose() => TEXT, self.search_path.as_str() => TEXT];
        Ok(session.query_typed_one(BIND, values).await?.try_get(0)?)
    }
}

/// The tenant that the database took the transaction for, which must be the one that was meant.
pub(crate) fn taken_for(meant: TenantId, bound: &Option<Vec<u8>>) -> Result<TenantId, Fault> {
    let bytes = bound.as_deref().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let origin = bytes.map(TenantId::from_bytes).ok_or(Fault::NotBound)?;
    if origin == meant { Ok(origin) } else { Err(Fault::NotBound) }
}

fn pool(link: Link, connections: usize, tokens: Arc<Tokens>) -> Result<Pool, Fault> {
    let recycling_method = RecyclingMethod::Fast;
    let manager = Manager::from_config(link.config, link.tls, ManagerConfig { recycling_method });
    let clock = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let tokens = tokens.clone();
        Box::pin(async move {
            let row = client.query_typed_one(NOW, &[]).await.map_err(HookError::Backend)?;
            tokens.database_time(row.try_get(0).map_err(HookError::Backend)?);
            Ok(())
        })
    });
    Pool::builder(manager).max_size(connections).post_create(clock).build().map_err(|_| Fault::Lost)
}

/// A connection of the pool's. One that is let go of in the middle of a transaction is closed, since the next
/// who got it would be inside somebody else's.
pub(crate) struct Session {
    object: Object,
    busy: bool,
}

impl Session {
    /// Begins a transaction that is no tenant's.
    pub(crate) async fn begin(&mut self) -> Result<(), Fault> {
        self.busy = true;
        Ok(self.batch_execute("BEGIN").await?)
    }

    /// Ends the transaction with what it wrote.
    pub(crate) async fn commit(mut self) -> Result<(), Fault> {
        self.batch_execute("COMMIT").await?;
        self.busy = false;
        Ok(())
    }

    /// Goes back to the pool: the transaction has ended.
    pub(crate) fn ended(mut self) {
        self.busy = false;
    }

    /// Ends the transaction without it.
    pub(crate) async fn roll_back(mut self) -> Result<(), Fault> {
        self.batch_execute("ROLLBACK").await?;
        self.busy = false;
        Ok(())
    }
}

impl Deref for Session {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.object
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.busy {
            // The pool finds it closed and makes another. Its own way to take one out needs it by value.
            self.object.__private_api_close();
        }
    }
}
