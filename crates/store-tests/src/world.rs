//! What every case begins with: a backend, two tenants in it, and who may enter them.

use admission_fixture::Fixture;
use async_trait::async_trait;
use authz::Role;
use context::{
    Admission, CredentialIndex, IndexedSubject, KeyedHash, Operator, Private, Tenant, TenantStatus, door,
};
use env::Env;
use ids::{KeyId, TenantId};
use metering::plan::{Limits, Overrides};
use store::{
    ApiKeyRecord, Isolation, NewTenant, PageRequest, PlatformStore, StoreError, TenantLifecycle, TenantRow,
    TenantStore,
};

/// All that a backend offers.
pub trait Store:
    TenantStore + PlatformStore + TenantLifecycle + CredentialIndex + Clone + Send + Sync + 'static
{
}

impl<S> Store for S where
    S: TenantStore + PlatformStore + TenantLifecycle + CredentialIndex + Clone + Send + Sync + 'static
{
}

/// A backend under test. What it cannot do is said here; there is no other way to skip a case.
#[async_trait]
pub trait Backend: Sized + Send + 'static {
    type Store: Store;
    /// Whether what was stored is there when the backend is opened again.
    const SURVIVES: bool;
    /// Whether it writes and restores backups.
    const BACKS_UP: bool;
    /// How the tenants of the suite are kept apart.
    const ISOLATION: Isolation = Isolation::Embedded;

    /// An empty backend with the region `local`.
    async fn open(env: Env) -> Self;

    /// The stores.
    fn store(&self) -> &Self::Store;

    /// Closes the backend and opens what it left.
    async fn reopen(self) -> Self;
}

/// A backend with two tenants.
pub struct World<B: Backend> {
    pub fixture: Fixture,
    pub backend: B,
    pub operator: Operator,
    pub one: TenantId,
    pub two: TenantId,
}

impl<B: Backend> World<B> {
    /// Runs a case in a world of its own.
    pub fn run<R>(case: impl AsyncFnOnce(Self) -> R) -> R {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async { case(Self::new(1).await).await })
    }

    /// A world whose randomness is a function of `seed`.
    pub async fn new(seed: u64) -> Self {
        let fixture = Fixture::new(seed);
        let backend = B::open(fixture.env()).await;
        let operator = fixture.operator().await;
        let one = fixture.tenant(Limits::default());
        let two = fixture.tenant(Limits::default());
        let world = Self { fixture, backend, operator, one, two };
        world.create(one, None).await.unwrap();
        world.create(two, None).await.unwrap();
        world
    }

    pub fn store(&self) -> &B::Store {
        self.backend.store()
    }

    /// The tenants, each with the word by which their data differ.
    pub fn tenants(&self) -> [(TenantId, &'static str); 2] {
        [(self.one, "anna"), (self.two, "bert")]
    }

    pub fn env(&self) -> Env {
        self.fixture.env()
    }

    pub async fn reopen(self) -> Self {
        let Self { fixture, backend, operator, one, two } = self;
        Self { fixture, backend: backend.reopen().await, operator, one, two }
    }

    /// Visits a tenant as its owner.
    pub async fn visit<R>(&self, tenant: TenantId, visit: impl for<'t> AsyncFnOnce(Tenant<'t>) -> R) -> R {
        self.fixture.owner(tenant).await.enter(visit).await
    }

    /// Lets the holder of a key with this role in.
    pub async fn with_role(&self, tenant: TenantId, role: Role) -> Admission {
        self.fixture.admission(tenant, role, authz::Scopes::everything()).await
    }

    /// The row of a tenant that is to be made.
    pub fn row(&self, id: TenantId, external_id: Option<&str>) -> TenantRow {
        TenantRow {
            id,
            name: "Example".into(),
            external_id: external_id.map(str::to_owned),
            region: "local".parse().unwrap(),
            plan: "starter".parse().unwrap(),
            overrides: Overrides { storage_bytes: Some(None), ..Overrides::default() },
            throwaway: None,
            isolation: B::ISOLATION,
            status: TenantStatus::Active,
            created_at: self.env().now(),
            generation: 0,
            version: 1,
        }
    }

    /// A tenant to be made, with a first key whose hash is random.
    pub fn new_tenant(&self, row: TenantRow) -> NewTenant {
        let env = self.env();
        let (id, role, scopes) = (env.id::<KeyId>(), Role::Owner, authz::Scopes::everything());
        let key_record = ApiKeyRecord {
            id,
            name: "first".into(),
            role,
            scopes: scopes.clone(),
            agent: None,
            created_by: self.operator.key().to_string(),
            created_at: env.now(),
            expires_at: None,
            revoked_at: None,
        };
        let draft = |action, kind, id| context::event::operator_draft(&self.operator, action, kind, id);
        const MADE: audit::event::Action = audit::event::Action::new("tenant.create");
        const KEY: audit::event::Action = audit::event::Action::new("key.create");
        NewTenant {
            events: vec![draft(MADE, "tenant", row.id.to_string()), draft(KEY, "key", id.to_string())],
            row,
            key_hash: KeyedHash(env.random()),
            key: IndexedSubject::ApiKey { id, role, scopes, agent: None },
            key_record,
        }
    }

    /// Makes a tenant that the fixture knows.
    pub async fn create(&self, id: TenantId, external_id: Option<&str>) -> Result<(), StoreError> {
        self.store().create_tenant(&self.operator, self.new_tenant(self.row(id, external_id))).await
    }
}

/// The value, through the door to the caller.
pub fn out<'t, T>(tenant: &Tenant<'t>, value: Private<'t, T>) -> T {
    door::answer(tenant, value).expect("the value is the tenant's own")
}

/// A request for a page.
pub fn page(limit: u32, cursor: Option<String>) -> PageRequest {
    PageRequest { limit, cursor }
}
