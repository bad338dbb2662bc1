//! A server's authentication over an index and logs in memory, each of which can be made to fail.

use async_trait::async_trait;
use audit::event::Draft;
use authz::{OperatorRole, Role, Scopes};
use context::{
    Admission, ApiKey, AuditLog, AuditUnavailable, Authenticator, Caller, CredentialIndex, CredentialKind,
    FailureLog, HookToken, IndexEntry, IndexKey, IndexUnavailable, IndexedSubject, KeyedHash, Operator,
    OperatorKey, Presented, Refusal, RequestFacts, SigningAlgorithm, Tenant, TenantStanding, TenantStatus,
    issue_api_key, issue_hook_token, issue_operator_key,
};
use env::{Env, FixedClock, Timestamp};
use ids::{AgentId, KeyId, SigningKeyId, TenantId};
use metering::plan::Limits;
use secret::{SecretBytes, SecretText};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub const AUDIENCE: &str = "https://tenantry.example";
pub const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// One failure, as the operator's log was told.
pub type Failure = (Option<IpAddr>, Option<KeyId>, Timestamp);

/// A line of the index: what the credential stands for, whose it is, and when it ends.
type Line = (IndexedSubject, Option<TenantId>, Option<Timestamp>);

#[derive(Default)]
pub struct Ports {
    lines: Mutex<HashMap<KeyedHash, Line>>,
    tenants: Mutex<HashMap<TenantId, TenantStanding>>,
    events: Mutex<Vec<(TenantId, Draft)>>,
    failures: Mutex<Vec<Failure>>,
    pub index_down: AtomicBool,
    pub log_down: AtomicBool,
}

impl Ports {
    fn reachable(&self) -> Result<(), IndexUnavailable> {
        if self.index_down.load(Ordering::SeqCst) { Err(IndexUnavailable) } else { Ok(()) }
    }
}

#[async_trait]
impl CredentialIndex for Ports {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        self.reachable()?;
        let Some((subject, tenant, expires_at)) = self.lines.lock().unwrap().get(hash).cloned() else {
            return Ok(None);
        };
        let tenant = tenant.map(|id| self.tenants.lock().unwrap()[&id].clone());
        Ok(Some(IndexEntry { subject, tenant, expires_at }))
    }

    async fn standing(&self, tenant: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        self.reachable()?;
        Ok(self.tenants.lock().unwrap().get(&tenant).cloned())
    }
}

#[async_trait]
impl AuditLog for Ports {
    async fn append(&self, tenant: &Tenant<'_>, draft: Draft) -> Result<(), AuditUnavailable> {
        if self.log_down.load(Ordering::SeqCst) {
            return Err(AuditUnavailable);
        }
        self.events.lock().unwrap().push((tenant.id(), draft));
        Ok(())
    }
}

impl FailureLog for Ports {
    fn note(&self, ip: Option<IpAddr>, claimed: Option<KeyId>, at: Timestamp) {
        self.failures.lock().unwrap().push((ip, claimed, at));
    }
}

pub struct World {
    pub env: Env,
    pub clock: Arc<FixedClock>,
    pub ports: Arc<Ports>,
    pub authenticator: Authenticator,
}

impl World {
    pub fn new() -> Self {
        let (env, clock) = Env::fixed(START, 7);
        let ports = Arc::new(Ports::default());
        let key = Arc::new(IndexKey::new(SecretBytes::fill_with(|bytes| env.fill(bytes))));
        let (index, audit, failures) = (ports.clone(), ports.clone(), ports.clone());
        let authenticator = Authenticator::new(index, audit, failures, key, AUDIENCE.to_owned(), env.clone());
        Self { env, clock, ports, authenticator }
    }

    pub fn tenant(&self) -> TenantId {
        let id = self.env.id();
        let standing = TenantStanding {
            id,
            status: TenantStatus::Active,
            plan: "starter".parse().unwrap(),
            limits: Arc::new(Limits::default()),
            region: "local".parse().unwrap(),
            throwaway_until: None,
            own_worker: false,
            pool: None,
        };
        self.ports.tenants.lock().unwrap().insert(id, standing);
        id
    }

    pub fn set_status(&self, tenant: TenantId, status: TenantStatus) {
        self.ports.tenants.lock().unwrap().get_mut(&tenant).unwrap().status = status;
    }

    /// Puts a line into the index, whatever the credential's text says of itself.
    pub fn index(
        &self,
        kind: CredentialKind,
        text: &str,
        subject: IndexedSubject,
        tenant: Option<TenantId>,
        expires_at: Option<Timestamp>,
    ) {
        let hash = self.authenticator.hash(kind, text);
        self.ports.lines.lock().unwrap().insert(hash, (subject, tenant, expires_at));
    }

    pub fn revoke(&self, kind: CredentialKind, text: &str) {
        assert!(self.ports.lines.lock().unwrap().remove(&self.authenticator.hash(kind, text)).is_some());
    }

    /// Makes the tenant a throwaway that ends then.
    pub fn ends(&self, tenant: TenantId, end: Timestamp) {
        let mut tenants = self.ports.tenants.lock().unwrap();
        tenants.get_mut(&tenant).unwrap().throwaway_until = Some(end);
    }

    pub fn api_key(&self, tenant: TenantId) -> ApiKey {
        self.api_key_with(tenant, Role::Owner, None, None)
    }

    pub fn api_key_with(
        &self,
        tenant: TenantId,
        role: Role,
        agent: Option<AgentId>,
        expires_at: Option<Timestamp>,
    ) -> ApiKey {
        let key = issue_api_key(tenant, self.env.id(), &self.env);
        let subject = IndexedSubject::ApiKey { id: key.id, role, scopes: Scopes::everything(), agent };
        self.index(CredentialKind::ApiKey, key.text.expose(), subject, Some(tenant), expires_at);
        key
    }

    pub fn operator_key(&self, role: OperatorRole, expires_at: Option<Timestamp>) -> OperatorKey {
        let key = issue_operator_key(self.env.id(), &self.env);
        let subject = IndexedSubject::Operator { id: key.id, role, name: "test".into() };
        self.index(CredentialKind::OperatorKey, key.text.expose(), subject, None, expires_at);
        key
    }

    pub fn hook(&self, tenant: TenantId) -> HookToken {
        let token = issue_hook_token(&self.env);
        let subject = IndexedSubject::Hook { id: self.env.id(), workflow: self.env.id() };
        self.index(CredentialKind::Hook, token.0.expose(), subject, Some(tenant), None);
        token
    }

    pub fn signing_key(
        &self,
        tenant: TenantId,
        algorithm: SigningAlgorithm,
        public_jwk: &str,
        role: Role,
    ) -> SigningKeyId {
        let id: SigningKeyId = self.env.id();
        let public_jwk = public_jwk.to_owned();
        let subject = IndexedSubject::SigningKey { id, algorithm, public_jwk, role };
        self.index(CredentialKind::SigningKey, &id.to_string(), subject, Some(tenant), None);
        id
    }

    /// The facts of one request.
    pub fn facts(&self) -> RequestFacts {
        RequestFacts {
            ip: Some(ADDRESS),
            user_agent: Some("test/1".into()),
            ..RequestFacts::internal(self.env.id())
        }
    }

    pub async fn present(&self, credential: &str, header: Option<&str>) -> Result<Caller, Refusal> {
        let presented = Presented {
            credential: Some(SecretText::new(credential.to_owned())),
            tenant_header: header.map(str::to_owned),
        };
        self.authenticator.authenticate(&presented, self.facts()).await
    }

    pub async fn admission(&self, credential: &str) -> Admission {
        match self.present(credential, None).await {
            Ok(Caller::Tenant(admission)) => admission,
            Ok(Caller::Operator(_) | Caller::Grant(_)) => panic!("an operator came in"),
            Err(refusal) => panic!("{refusal}"),
        }
    }

    pub async fn operator(&self, credential: &str) -> Operator {
        match self.present(credential, None).await {
            Ok(Caller::Operator(operator)) => operator,
            Ok(Caller::Tenant(_) | Caller::Grant(_)) => panic!("a tenant came in"),
            Err(refusal) => panic!("{refusal}"),
        }
    }

    /// Why this credential is refused.
    pub async fn refusal(&self, credential: &str, header: Option<&str>) -> Refusal {
        match self.present(credential, header).await {
            Ok(_) => panic!("{credential} came in"),
            Err(refusal) => refusal,
        }
    }

    pub fn events(&self) -> Vec<(TenantId, Draft)> {
        self.ports.events.lock().unwrap().clone()
    }

    /// The failures noted since the last call.
    pub fn failures(&self) -> Vec<Failure> {
        std::mem::take(&mut *self.ports.failures.lock().unwrap())
    }
}
