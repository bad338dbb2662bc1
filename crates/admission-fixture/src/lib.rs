//! For tests: tenants and operators that came in through the real authentication.
//!
//! A [`Fixture`] keeps a credential index and the logs in memory and lets callers in through
//! [`context::Authenticator`], with keys that it issues as the server does. So a test holds exactly what
//! the server's code holds, and no crate needs a way round authentication.
#![expect(clippy::expect_used, clippy::panic, reason = "a fixture that cannot be set up ends its test")]

mod index;
mod log;

pub use log::Failure;

use audit::event::Draft;
use authz::{OperatorRole, Role, Scopes, SystemPrincipal};
use context::{
    Admission, Authenticator, Caller, CredentialKind, IndexEntry, IndexKey, IndexedSubject, Operator,
    Presented, RequestFacts, SigningAlgorithm, TenantStanding, TenantStatus, issue_api_key,
    issue_operator_key,
};
use env::{Env, FixedClock, Timestamp};
use ids::{AgentId, SigningKeyId, Slug, TenantId};
use index::Index;
use log::Log;
use metering::plan::Limits;
use secret::{SecretBytes, SecretText};
use std::sync::Arc;

/// Lets somebody into a tenant of their own, where it is of no account who it is. They wait until `deadline`.
pub async fn somebody(deadline: Option<Timestamp>) -> Admission {
    let fixture = Fixture::new(7);
    let tenant = fixture.tenant(Limits::default());
    fixture.admission_as(tenant, Role::Owner, Scopes::everything(), None, deadline).await
}

/// Where the fixture's clock stands at first: 21 September 2026.
pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// A server's authentication with nothing behind it.
pub struct Fixture {
    env: Env,
    clock: Arc<FixedClock>,
    index: Arc<Index>,
    log: Arc<Log>,
    authenticator: Authenticator,
}

impl Fixture {
    /// A fixture whose randomness is a function of `seed` and whose clock stands still.
    pub fn new(seed: u64) -> Self {
        let (env, clock) = Env::fixed(START, seed);
        let (index, log) = (Arc::<Index>::default(), Arc::<Log>::default());
        let key = Arc::new(IndexKey::new(SecretBytes::fill_with(|bytes| env.fill(bytes))));
        let authenticator = Authenticator::new(
            index.clone(),
            log.clone(),
            log.clone(),
            key,
            "https://test".into(),
            env.clone(),
        );
        Self { env, clock, index, log, authenticator }
    }

    /// The clock, randomness and ids that the fixture itself uses.
    pub fn env(&self) -> Env {
        self.env.clone()
    }

    /// The clock, to be moved.
    pub fn clock(&self) -> &FixedClock {
        &self.clock
    }

    /// The authenticator itself, for what the calls below do not cover.
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// A tenant in the region `local` with these limits.
    pub fn tenant(&self, limits: Limits) -> TenantId {
        self.tenant_in(name("local"), limits)
    }

    /// A tenant whose data rests in `region`.
    pub fn tenant_in(&self, region: Slug, limits: Limits) -> TenantId {
        let id = self.env.id();
        let plan = name("starter");
        let limits = Arc::new(limits);
        self.index.put(TenantStanding {
            id,
            status: TenantStatus::Active,
            plan,
            limits,
            region,
            throwaway_until: None,
            own_worker: false,
            pool: None,
        });
        id
    }

    /// Gives a tenant other limits. They hold for admissions from now on.
    pub fn set_limits(&self, tenant: TenantId, limits: Limits) {
        self.index.change(tenant, |standing| standing.limits = Arc::new(limits));
    }

    /// Suspends or resumes a tenant, or marks it as being deleted.
    pub fn set_status(&self, tenant: TenantId, status: TenantStatus) {
        self.index.change(tenant, |standing| standing.status = status);
    }

    /// Lets the holder of a fresh key with this role and these scopes in.
    pub async fn admission(&self, tenant: TenantId, role: Role, scopes: Scopes) -> Admission {
        self.admission_as(tenant, role, scopes, None, None).await
    }

    /// Lets the owner of a tenant in, with all scopes.
    pub async fn owner(&self, tenant: TenantId) -> Admission {
        self.admission(tenant, Role::Owner, Scopes::everything()).await
    }

    /// Lets the holder of a fresh key in: an agent where one is given, until the deadline where there is one.
    pub async fn admission_as(
        &self,
        tenant: TenantId,
        role: Role,
        scopes: Scopes,
        agent: Option<AgentId>,
        deadline: Option<Timestamp>,
    ) -> Admission {
        let key = issue_api_key(tenant, self.env.id(), &self.env);
        let subject = IndexedSubject::ApiKey { id: key.id, role, scopes, agent };
        self.insert(CredentialKind::ApiKey, &key.text, subject, Some(tenant));
        let facts = RequestFacts { deadline, ..self.facts() };
        match self.authenticator.authenticate(&presented(key.text), facts).await {
            Ok(Caller::Tenant(admission)) => admission,
            Ok(Caller::Operator(_) | Caller::Grant(_)) => panic!("a tenant's key let an operator in"),
            Err(refusal) => panic!("the fixture's key was refused: {refusal}"),
        }
    }

    /// Registers a key with which the tenant signs tokens of its own.
    pub fn signing_key(
        &self,
        tenant: TenantId,
        algorithm: SigningAlgorithm,
        public_jwk: String,
        role: Role,
    ) -> SigningKeyId {
        let id: SigningKeyId = self.env.id();
        let subject = IndexedSubject::SigningKey { id, algorithm, public_jwk, role };
        self.insert(CredentialKind::SigningKey, &SecretText::new(id.to_string()), subject, Some(tenant));
        id
    }

    /// A fresh key of the tenant's owner.
    pub fn owner_key(&self, tenant: TenantId) -> SecretText {
        let key = issue_api_key(tenant, self.env.id(), &self.env);
        let (role, scopes) = (Role::Owner, Scopes::everything());
        let subject = IndexedSubject::ApiKey { id: key.id, role, scopes, agent: None };
        self.insert(CredentialKind::ApiKey, &key.text, subject, Some(tenant));
        key.text
    }

    /// Lets an operator in who may do everything.
    pub async fn operator(&self) -> Operator {
        let key = issue_operator_key(self.env.id(), &self.env);
        let subject = IndexedSubject::Operator { id: key.id, role: OperatorRole::Admin, name: "test".into() };
        self.insert(CredentialKind::OperatorKey, &key.text, subject, None);
        match self.authenticator.authenticate(&presented(key.text), self.facts()).await {
            Ok(Caller::Operator(operator)) => operator,
            _ => panic!("the fixture's operator key was refused"),
        }
    }

    /// Lets background work in.
    pub async fn system(&self, principal: SystemPrincipal, tenant: TenantId) -> Admission {
        let admitted = self.authenticator.admit_system(principal, tenant, None, self.facts()).await;
        admitted.expect("the tenant is there and active")
    }

    /// The events that authentication itself wrote, with the tenant of each.
    pub fn events(&self) -> Vec<(TenantId, Draft)> {
        self.log.events()
    }

    /// The failed authentications.
    pub fn failures(&self) -> Vec<Failure> {
        self.log.failures()
    }

    fn facts(&self) -> RequestFacts {
        RequestFacts::internal(self.env.id())
    }

    fn insert(
        &self,
        kind: CredentialKind,
        text: &SecretText,
        subject: IndexedSubject,
        tenant: Option<TenantId>,
    ) {
        let hash = self.authenticator.hash(kind, text.expose());
        let tenant = tenant.map(|id| self.index.get(id).expect("the tenant is the fixture's"));
        self.index.insert(hash, IndexEntry { subject, tenant, expires_at: None });
    }
}

fn presented(credential: SecretText) -> Presented {
    Presented { credential: Some(credential), tenant_header: None }
}

fn name(text: &str) -> Slug {
    text.parse().expect("the fixture's own names are slugs")
}

#[cfg(test)]
mod tests {
    use super::Fixture;
    use authz::{Role, Scopes, SystemPrincipal};
    use context::{Delete, Read, on};
    use metering::plan::Limits;

    #[tokio::test]
    async fn whoever_is_let_in_is_who_was_asked_for() {
        let fixture = Fixture::new(1);
        let limits = Limits { storage_bytes: Some(7), ..Limits::default() };
        let (one, two) = (fixture.tenant(limits), fixture.tenant(Limits::default()));
        let viewer = fixture.admission(one, Role::Viewer, Scopes::everything()).await;
        viewer
            .enter(async |tenant| {
                assert_eq!(tenant.id(), one);
                assert_eq!(tenant.standing().limits.storage_bytes, Some(7));
                assert!(tenant.authorize::<Read<on::Record>>().is_ok());
                assert!(tenant.authorize::<Delete<on::Record>>().is_err());
            })
            .await;
        let retention = fixture.system(SystemPrincipal::Retention, two).await;
        retention.enter(async |tenant| assert!(tenant.authorize::<Delete<on::Run>>().is_ok())).await;
        assert_eq!(fixture.events().len(), 1);
        assert_eq!(fixture.events()[0].0, two);
        assert!(fixture.operator().await.must_change().is_ok());
        assert!(fixture.failures().is_empty());
    }
}
