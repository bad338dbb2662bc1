//! Two tenants with a vault over one store, and the way out to a provider.

use crate::provider::Provider;
use admission_fixture::Fixture;
use app::vault::{CredentialView, NewCredential, Stored, Vault, VaultParts};
use async_trait::async_trait;
use audit::event::Draft;
use authz::{Role, Scopes};
use context::{
    Admission, Authenticator, Caller, CredentialKind, FailureLog, IndexKey, IndexedSubject, Operator,
    Presented, Private, Read, RequestFacts, Tenant, TenantStatus, door, issue_api_key, on,
};
use egress::{
    AddressPolicy, AttachedCredential, Destination, Egress, EgressError, Method, OutboundRequest,
    OutboundResponse,
};
use egress_http::{HttpEgress, Resolve, ResolveFailed, Settings};
use env::{Env, FixedClock, Timestamp};
use errors::Problem;
use ids::{KeyId, Slug, TenantId};
use limiter_local::LocalLimiter;
use metering::plan::Overrides;
use secret::SecretBytes;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use store::Objects;
use store::{
    ApiKeyRecord, AuditQuery, AuditTrail, Credential, NewTenant, PageRequest, PlatformStore, TenantRow,
};
use store_memory::MemoryStore;

/// Every name is at home, but one that is in the operator's own network.
pub(crate) struct Names;

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, _: &str) -> Result<Vec<IpAddr>, ResolveFailed> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

struct NoFailures;

impl FailureLog for NoFailures {
    fn note(&self, _: Option<IpAddr>, _: Option<KeyId>, _: Timestamp) {}
}

/// A server that dies when a token endpoint has answered, before it can write anything down.
pub(crate) struct Dying(pub(crate) Arc<dyn Egress>);

#[async_trait]
impl Egress for Dying {
    async fn send<'t>(
        &self,
        tenant: &Tenant<'t>,
        request: Private<'t, OutboundRequest>,
    ) -> Result<Private<'t, OutboundResponse>, EgressError> {
        let _answer = self.0.send(tenant, request).await;
        std::future::pending().await
    }
}

pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) env: Env,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) provider: Provider,
    pub(crate) egress: Arc<dyn Egress>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) limiter: Arc<LocalLimiter<MemoryStore>>,
    policy: Arc<AddressPolicy>,
    operator: Operator,
    pub(crate) one: TenantId,
    pub(crate) two: TenantId,
}

impl World {
    pub(crate) async fn new() -> Self {
        let start = Timestamp::from_millis(1_790_000_000_000);
        let (env, clock) = Env::fixed(start, 7);
        let store = MemoryStore::new("local".parse().unwrap(), env.clone());
        let shared = Arc::new(store.clone());
        let key = Arc::new(IndexKey::new(SecretBytes::take(&mut [7; 32])));
        let (failures, url) = (Arc::new(NoFailures), "https://test".to_owned());
        let authenticator = Authenticator::new(shared.clone(), shared, failures, key, url, env.clone());
        let authenticator = Arc::new(authenticator);
        let provider = Provider::start().await;
        let open = ["token.test", "api.test", "evil.test"];
        let open = open.map(|host| format!("{host}:{}", provider.port).parse().unwrap());
        let policy = AddressPolicy::new(open.into());
        let settings = Settings { calls_per_tenant: 100, ..Settings::default() };
        let egress = HttpEgress::new(policy.clone(), Arc::new(Names), settings, env.clone()).unwrap();
        let (policy, egress) = (Arc::new(policy), Arc::new(egress) as Arc<dyn Egress>);
        let settings = limiter_local::Settings::default();
        let limiter = Arc::new(LocalLimiter::new(Arc::new(store.clone()), env.clone(), settings));
        let parts = VaultParts {
            store: Arc::new(store.clone()),
            authenticator: authenticator.clone(),
            egress: egress.clone(),
            limiter: limiter.clone(),
            policy: policy.clone(),
            env: env.clone(),
            alone: true,
        };
        let vault = Arc::new(Vault::new(parts));
        let operator = Fixture::new(1).operator().await;
        let (one, two) = (env.id(), env.id());
        let world = Self {
            store,
            env,
            clock,
            provider,
            egress,
            vault,
            authenticator,
            limiter,
            policy,
            operator,
            one,
            two,
        };
        world.create(one).await;
        world.create(two).await;
        world
    }

    /// Another server on the same store, with this way out.
    pub(crate) fn server(&self, egress: Arc<dyn Egress>, alone: bool) -> Arc<Vault> {
        Arc::new(Vault::new(VaultParts {
            store: Arc::new(self.store.clone()),
            authenticator: self.authenticator.clone(),
            egress,
            limiter: self.limiter.clone(),
            policy: self.policy.clone(),
            env: self.env.clone(),
            alone,
        }))
    }

    async fn create(&self, id: TenantId) {
        let row = TenantRow {
            id,
            name: "Example".into(),
            external_id: None,
            region: "local".parse().unwrap(),
            plan: "starter".parse().unwrap(),
            overrides: Overrides { storage_bytes: Some(None), ..Overrides::default() },
            throwaway: None,
            isolation: store::Isolation::Embedded,
            status: TenantStatus::Active,
            created_at: self.env.now(),
            generation: 0,
            version: 1,
        };
        let first = issue_api_key(id, self.env.id(), &self.env);
        let (role, scopes) = (Role::Owner, Scopes::everything());
        let subject = IndexedSubject::ApiKey { id: first.id, role, scopes: scopes.clone(), agent: None };
        let key_record = ApiKeyRecord {
            id: first.id,
            name: "first".into(),
            role,
            scopes,
            agent: None,
            created_by: "operator".into(),
            created_at: self.env.now(),
            expires_at: None,
            revoked_at: None,
        };
        let key_hash = self.authenticator.hash(CredentialKind::ApiKey, first.text.expose());
        let new = NewTenant { row, key_hash, key: subject, key_record, events: Vec::new() };
        self.store.create_tenant(&self.operator, new).await.unwrap();
    }

    /// Lets the holder of a fresh key in.
    pub(crate) async fn admit(&self, tenant: TenantId, role: Role) -> Admission {
        let owner = issue_api_key(tenant, self.env.id(), &self.env);
        let hash = self.authenticator.hash(CredentialKind::ApiKey, owner.text.expose());
        let scopes = Scopes::everything();
        let subject = IndexedSubject::ApiKey { id: owner.id, role, scopes, agent: None };
        let facts = RequestFacts::internal(self.env.id());
        let name = authz::SystemPrincipal::OperatorAction;
        let system = self.authenticator.admit_system(name, tenant, None, facts.clone()).await.unwrap();
        let index = async |tenant: Tenant<'_>| {
            self.store.index_credential(&tenant, hash, subject, None).await.unwrap();
        };
        system.enter(index).await;
        let presented = Presented { credential: Some(owner.text), tenant_header: None };
        match self.authenticator.authenticate(&presented, facts).await {
            Ok(Caller::Tenant(admission)) => admission,
            _ => panic!("the key was refused"),
        }
    }

    pub(crate) async fn visit<R>(&self, id: TenantId, visit: impl for<'t> AsyncFnOnce(Tenant<'t>) -> R) -> R {
        self.admit(id, Role::Developer).await.enter(visit).await
    }

    /// Stores a credential of the first tenant.
    pub(crate) async fn put(&self, service: &str, body: Value) -> Result<CredentialView, Problem> {
        self.put_of(self.one, service, body).await
    }

    pub(crate) async fn put_of(
        &self,
        tenant: TenantId,
        service: &str,
        body: Value,
    ) -> Result<CredentialView, Problem> {
        let new: NewCredential =
            serde_json::from_value(body).map_err(|error| Problem::invalid(error.to_string()))?;
        self.visit(tenant, async |tenant| {
            let stored = self.vault.put(&tenant, slug(service), new, None, None).await?;
            let Stored { view, .. } = out(&tenant, stored);
            Ok(view)
        })
        .await
    }

    /// The provider's credential, whose access token ends in `seconds` if there is one.
    pub(crate) fn oauth(&self, grant: &str, seconds: Option<i64>) -> Value {
        let refresh = (grant == "refresh_token").then_some("refresh-0-s3cret");
        let end = seconds.map(|seconds| Timestamp::from_millis(self.env.now().millis() + seconds * 1000));
        json!({
            "kind": "oauth2", "grant": grant, "token_url": format!("http://token.test:{}/token", self.provider.port),
            "client_id": "cl1ent", "client_secret": "client-s3cret", "refresh_token": refresh,
            "access_token": end.map(|_| "access-0-s3cret"), "expires_at": end, "hosts": ["api.test"],
        })
    }

    pub(crate) async fn attach(&self, service: &str) -> Result<AttachedCredential, Problem> {
        self.attach_at(&self.vault, service).await
    }

    pub(crate) async fn attach_at(
        &self,
        vault: &Vault,
        service: &str,
    ) -> Result<AttachedCredential, Problem> {
        self.visit(self.one, async |tenant| {
            let attached = vault.attach(&tenant, &slug(service)).await?;
            Ok(out(&tenant, attached))
        })
        .await
    }

    pub(crate) async fn refresh_now(&self, service: &str) -> Result<AttachedCredential, Problem> {
        self.visit(self.one, async |tenant| {
            let attached = self.vault.refresh_now(&tenant, &slug(service)).await?;
            Ok(out(&tenant, attached))
        })
        .await
    }

    /// What stands in the header field for the provider's API.
    pub(crate) fn shown(&self, credential: &AttachedCredential) -> String {
        let api = Destination::parse(&format!("http://api.test:{}/", self.provider.port)).unwrap();
        let (name, value) = credential.header_for(&api, &self.policy).unwrap();
        format!("{name}: {}", value.to_str().unwrap())
    }

    /// Calls a URL of the provider's host by this name with a credential.
    pub(crate) async fn call(&self, host: &str, credential: AttachedCredential) -> Result<u16, EgressError> {
        let url = Destination::parse(&format!("http://{host}:{}/api", self.provider.port)).unwrap();
        let request =
            OutboundRequest { credential: Some(credential), ..OutboundRequest::new(Method::Get, url) };
        self.visit(self.one, async |tenant| {
            let answer = self.egress.send(&tenant, Private::sent(&tenant, request)).await?;
            Ok(out(&tenant, answer).status)
        })
        .await
    }

    pub(crate) async fn view(&self, service: &str) -> Result<CredentialView, Problem> {
        self.visit(self.one, async |tenant| {
            let found = self.vault.get(&tenant, &slug(service)).await?;
            Ok(out(&tenant, found).0)
        })
        .await
    }

    /// The stored row.
    pub(crate) async fn row(&self, tenant: TenantId, service: &str) -> Credential {
        self.visit(tenant, async |tenant| {
            let access = tenant.authorize::<Read<on::Credential>>().unwrap();
            out(&tenant, self.store.get::<Credential>(&access, service).await.unwrap()).0
        })
        .await
    }

    /// The first tenant's log, oldest first.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.admit(self.one, Role::Owner)
            .await
            .enter(async |tenant: Tenant<'_>| {
                let access = tenant.authorize::<Read<on::Audit>>().unwrap();
                let query = AuditQuery { action: Some("credential".into()), ..AuditQuery::default() };
                let found = self.store.events(&access, &query, &PageRequest::largest()).await.unwrap();
                let events = out(&tenant, found).data;
                events.into_iter().rev().map(|event| serde_json::to_value(event.view).unwrap()).collect()
            })
            .await
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(seconds * 1000);
    }
}

pub(crate) fn slug(name: &str) -> Slug {
    name.parse().unwrap()
}

pub(crate) fn out<'t, T>(tenant: &Tenant<'t>, value: Private<'t, T>) -> T {
    door::answer(tenant, value).unwrap()
}

/// A draft that no test looks into.
pub(crate) fn any_event(tenant: &Tenant<'_>) -> Draft {
    const TRY: audit::event::Action = audit::event::Action::new("test.try");
    context::event::draft(tenant, TRY, "test", "x")
}
