//! Two tenants that came in through authentication, a resolver that says what a test wants, and a way out.

use crate::{HttpEgress, Resolve, ResolveFailed, Settings};
use async_trait::async_trait;
use audit::event::Draft;
use authz::{Role, Scopes};
use context::{
    Admission, AuditLog, AuditUnavailable, Authenticator, Caller, CredentialIndex, CredentialKind,
    FailureLog, IndexEntry, IndexKey, IndexUnavailable, IndexedSubject, KeyedHash, Presented, Private,
    RequestFacts, Tenant, TenantStanding, TenantStatus, door, issue_api_key,
};
use egress::{AddressPolicy, Destination, Egress, EgressError, Method, OutboundRequest, OutboundResponse};
use env::{Env, Timestamp};
use ids::{KeyId, TenantId};
use metering::plan::Plan;
use secret::SecretBytes;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The names of [`Names`] are all answered with this unless a test says otherwise.
const HOME: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)];

/// A resolver that answers from scripts, and counts how often it is asked.
#[derive(Default)]
pub(super) struct Names {
    scripts: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub(super) asked: AtomicUsize,
}

impl Names {
    /// What `name` is answered with, the first time, the second time, and so on.
    pub(super) fn script(&self, name: &str, answers: &[&[&str]]) {
        let parsed = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().rev().map(parsed).collect();
        self.scripts.lock().unwrap().insert(name.into(), answers);
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveFailed> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.scripts.lock().unwrap().get_mut(name) {
            Some(answers) => answers.pop().ok_or(ResolveFailed),
            None => Ok(HOME.into()),
        }
    }
}

struct Index(HashMap<KeyedHash, IndexEntry>);

#[async_trait]
impl CredentialIndex for Index {
    async fn find(&self, hash: &KeyedHash) -> Result<Option<IndexEntry>, IndexUnavailable> {
        Ok(self.0.get(hash).cloned())
    }

    async fn standing(&self, _: TenantId) -> Result<Option<TenantStanding>, IndexUnavailable> {
        Err(IndexUnavailable)
    }
}

struct NoLog;

#[async_trait]
impl AuditLog for NoLog {
    async fn append(&self, _: &Tenant<'_>, _: Draft) -> Result<(), AuditUnavailable> {
        Err(AuditUnavailable)
    }
}

impl FailureLog for NoLog {
    fn note(&self, _: Option<IpAddr>, _: Option<KeyId>, _: Timestamp) {}
}

/// Lets `count` tenants in, each with a key of its own, through authentication as in the server.
async fn admit(count: usize, env: &Env, deadline: Option<Timestamp>) -> Vec<Admission> {
    let index_key = IndexKey::new(SecretBytes::take(&mut [7; 32]));
    let [starter, ..] = Plan::built_in().unwrap();
    let (mut index, mut keys) = (HashMap::new(), Vec::new());
    for _ in 0..count {
        let standing = TenantStanding {
            id: env.id(),
            status: TenantStatus::Active,
            plan: "starter".parse().unwrap(),
            limits: Arc::new(starter.with(&Default::default())),
            region: "eu".parse().unwrap(),
            throwaway_until: None,
            own_worker: false,
            pool: None,
        };
        let key = issue_api_key(standing.id, env.id(), env);
        let subject = IndexedSubject::ApiKey {
            id: key.id,
            role: Role::Owner,
            scopes: Scopes::everything(),
            agent: None,
        };
        keys.push((key, IndexEntry { subject, tenant: Some(standing), expires_at: None }));
    }
    let index_key = Arc::new(index_key);
    let over = |index| {
        let log = (Arc::new(NoLog), Arc::new(NoLog));
        Authenticator::new(Arc::new(index), log.0, log.1, index_key.clone(), "x".into(), env.clone())
    };
    let hashing = over(Index(HashMap::new()));
    for (key, entry) in &keys {
        index.insert(hashing.hash(CredentialKind::ApiKey, key.text.expose()), entry.clone());
    }
    let authenticator = over(Index(index));
    let mut admissions = Vec::new();
    for (key, _) in keys {
        let presented = Presented { credential: Some(key.text), tenant_header: None };
        let facts = RequestFacts { deadline, ..RequestFacts::internal(env.id()) };
        match authenticator.authenticate(&presented, facts).await {
            Ok(Caller::Tenant(admission)) => admissions.push(admission),
            _ => panic!("the key is known"),
        }
    }
    admissions
}

/// A way out with two tenants behind it.
pub(super) struct World {
    pub(super) egress: HttpEgress,
    pub(super) names: Arc<Names>,
    admissions: Vec<Admission>,
}

impl World {
    /// A world whose operator allows these, with the usual settings.
    pub(super) async fn allowing(allow: &[String]) -> Self {
        Self::with(allow, Settings::default()).await
    }

    pub(super) async fn with(allow: &[String], settings: Settings) -> Self {
        Self::until(allow, settings, None).await
    }

    /// A world whose callers wait for `wait` milliseconds, which may be none.
    pub(super) async fn until(allow: &[String], settings: Settings, wait: Option<i64>) -> Self {
        let names = Arc::new(Names::default());
        let (env, _) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1);
        let deadline = wait.map(|millis| Timestamp::from_millis(env.now().millis() + millis));
        let admissions = admit(2, &env, deadline).await;
        let policy = AddressPolicy::new(allow.iter().map(|text| text.parse().unwrap()).collect());
        let egress = HttpEgress::new(policy, names.clone(), settings, env).unwrap();
        Self { egress, names, admissions }
    }

    /// Sends as the first tenant.
    pub(super) async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, EgressError> {
        self.send_as(0, request).await
    }

    /// Sends as one of the tenants and takes the answer out through the caller's door.
    pub(super) async fn send_as(
        &self,
        tenant: usize,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, EgressError> {
        let visit = async |tenant: Tenant<'_>| self.visit(&tenant, request).await;
        self.admissions[tenant].clone().enter(visit).await
    }

    async fn visit<'t>(
        &self,
        tenant: &Tenant<'t>,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, EgressError> {
        let response = self.egress.send(tenant, Private::sent(tenant, request)).await?;
        Ok(door::answer(tenant, response)?)
    }

    /// The way in of one of the tenants.
    pub(super) fn admission(&self, tenant: usize) -> Admission {
        self.admissions[tenant].clone()
    }

    /// How often a name was resolved.
    pub(super) fn asked(&self) -> usize {
        self.names.asked.load(Ordering::SeqCst)
    }
}

/// A GET of `url` that waits for two seconds.
pub(super) fn get(url: &str) -> OutboundRequest {
    let url = Destination::parse(url).unwrap();
    OutboundRequest { timeout: Duration::from_secs(2), ..OutboundRequest::new(Method::Get, url) }
}
