//! [`Authenticator`]: turns what a caller presented into an [`Admission`] or an [`Operator`]. The one place
//! where a visit is made.

use crate::index::{IndexEntry, IndexedSubject, TenantStanding, TenantStatus};
use crate::key::{ApiKey, GrantKey, HookToken, OperatorKey, WorkerToken};
use crate::own_worker::OwnWorker;
use crate::request::{FailureLog, RequestFacts};
use crate::tenant::Visit;
use crate::throttle::Throttle;
use crate::token::{self, Registered};
use crate::{
    Admission, CredentialIndex, Grant, IndexKey, KeyedHash, Operator, Principal, PrincipalKind, Refusal,
    Tenant,
};
use async_trait::async_trait;
use audit::event::{Action, AuthMethod, Draft};
use authz::{Rights, SystemPrincipal};
use env::{Env, Timestamp};
use ids::{HookId, KeyId, TenantId, WorkflowId};
use secret::SecretText;
use std::net::IpAddr;
use std::sync::Arc;

/// What the caller presented, taken from its headers.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The bearer credential, if there was one.
    pub credential: Option<SecretText>,
    /// The `X-Tenant-ID` header.
    pub tenant_header: Option<String>,
}

/// Who called.
pub enum Caller {
    /// A principal of a tenant.
    Tenant(Admission),
    /// An operator.
    Operator(Operator),
    /// Whoever may run the attack suite.
    Grant(Grant),
}

/// The tenant's audit log could not take an event.
#[derive(Debug, thiserror::Error)]
#[error("the audit log could not take the event")]
pub struct AuditUnavailable;

/// The tenant's audit log, as far as admission needs it.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends an event durably.
    async fn append(&self, tenant: &Tenant<'_>, draft: Draft) -> Result<(), AuditUnavailable>;
}

/// A visit on the strength of a hook's token, and what the hook starts.
pub struct HookAdmission {
    /// The way in, as the system principal `hook_delivery`.
    pub admission: Admission,
    /// The hook.
    pub hook: HookId,
    /// The workflow that it starts.
    pub workflow: WorkflowId,
}

/// Checks credentials against the index and makes visits.
pub struct Authenticator {
    index: Arc<dyn CredentialIndex>,
    audit: Arc<dyn AuditLog>,
    failures: Arc<dyn FailureLog>,
    index_key: Arc<IndexKey>,
    audience: String,
    env: Env,
    throttle: Throttle,
}

impl Authenticator {
    /// An authenticator over this index. `audience` is the server's public URL, which tokens must name.
    pub fn new(
        index: Arc<dyn CredentialIndex>,
        audit: Arc<dyn AuditLog>,
        failures: Arc<dyn FailureLog>,
        index_key: Arc<IndexKey>,
        audience: String,
        env: Env,
    ) -> Self {
        Self { index, audit, failures, index_key, audience, env, throttle: Throttle::default() }
    }

    /// The hash under which a credential of this kind stands in the index.
    pub fn hash(&self, kind: CredentialKind, credential: &str) -> KeyedHash {
        self.index_key.hash(kind.as_str(), credential)
    }

    /// Finds out who calls.
    pub async fn authenticate(
        &self,
        presented: &Presented,
        request: RequestFacts,
    ) -> Result<Caller, Refusal> {
        let credential = presented.credential.as_ref().map(SecretText::expose).unwrap_or_default();
        let (ip, claimed) = (request.ip, claimed_key(credential));
        let outcome = self.check(credential, presented.tenant_header.as_deref(), request).await;
        self.slowed(outcome, ip, claimed).await
    }

    /// The outcome; a failure is noted first, and held back where there were too many.
    async fn slowed<T>(
        &self,
        outcome: Result<T, Refusal>,
        ip: Option<IpAddr>,
        claimed: Option<KeyId>,
    ) -> Result<T, Refusal> {
        if matches!(outcome, Err(Refusal::Unauthorized)) {
            let now = self.env.now();
            self.failures.note(ip, claimed, now);
            self.throttle.failed(ip, claimed, now).await;
        }
        outcome
    }

    async fn check(
        &self,
        credential: &str,
        tenant_header: Option<&str>,
        request: RequestFacts,
    ) -> Result<Caller, Refusal> {
        if let Some(key) = OperatorKey::parse(credential) {
            let operator = self.operator(&key, request).await?;
            // An operator has no tenant, so whichever the header names is another.
            return tenant_header.map_or(Ok(Caller::Operator(operator)), |_| Err(Refusal::TenantMismatch));
        }
        if let Some(key) = GrantKey::parse(credential) {
            let grant = self.grant(&key, request).await?;
            return tenant_header.map_or(Ok(Caller::Grant(grant)), |_| Err(Refusal::TenantMismatch));
        }
        let (standing, principal, rights) = match ApiKey::parse(credential) {
            Some(key) => self.api_key(&key).await?,
            None => self.token(credential).await?,
        };
        admissible(&standing, self.env.now())?;
        if tenant_header.is_some_and(|header| header != standing.id.to_string()) {
            return Err(Refusal::TenantMismatch);
        }
        Ok(Caller::Tenant(Admission::of(Visit { standing, principal, rights, request, lease: None })))
    }

    async fn operator(&self, key: &OperatorKey, request: RequestFacts) -> Result<Operator, Refusal> {
        match self.live(CredentialKind::OperatorKey, key.text.expose()).await?.subject {
            IndexedSubject::Operator { id, role, .. } if id == key.id => {
                Ok(Operator::authenticated(id, role, request))
            }
            _ => Err(Refusal::Unauthorized),
        }
    }

    async fn grant(&self, key: &GrantKey, request: RequestFacts) -> Result<Grant, Refusal> {
        let entry = self.live(CredentialKind::VerifyGrant, key.text.expose()).await?;
        match (entry.subject, entry.expires_at) {
            (IndexedSubject::VerifyGrant { id, tenants, .. }, Some(until)) if id == key.id => {
                Ok(Grant::authenticated(id, tenants, until, request))
            }
            // One without an end is none.
            _ => Err(Refusal::Unauthorized),
        }
    }

    async fn api_key(&self, key: &ApiKey) -> Result<(TenantStanding, Principal, Rights), Refusal> {
        let entry = self.live(CredentialKind::ApiKey, key.text.expose()).await?;
        let (IndexedSubject::ApiKey { id, role, scopes, agent }, Some(standing)) =
            (entry.subject, entry.tenant)
        else {
            return Err(Refusal::Unauthorized);
        };
        if id != key.id || standing.id != key.tenant {
            return Err(Refusal::Unauthorized);
        }
        let principal = Principal {
            kind: if agent.is_some() { PrincipalKind::Agent } else { PrincipalKind::ServiceKey },
            id: agent.map_or_else(|| id.to_string(), |agent| agent.to_string()),
            key: Some(id),
            agent,
            on_behalf_of: None,
            auth: AuthMethod::ApiKey,
        };
        Ok((standing, principal, Rights::Granted { role, scopes }))
    }

    async fn token(&self, text: &str) -> Result<(TenantStanding, Principal, Rights), Refusal> {
        let claimed = token::claimed_key(text).ok_or(Refusal::Unauthorized)?;
        let entry = self.live(CredentialKind::SigningKey, &claimed.to_string()).await?;
        let (IndexedSubject::SigningKey { id, algorithm, public_jwk, role }, Some(standing)) =
            (entry.subject, entry.tenant)
        else {
            return Err(Refusal::Unauthorized);
        };
        let registered = Registered { algorithm, public_jwk: &public_jwk, role, tenant: &standing };
        let bearer = token::verify(text, &registered, &self.audience, self.env.now());
        let bearer = bearer.filter(|_| id == claimed).ok_or(Refusal::Unauthorized)?;
        // A token that names nobody speaks for the service that holds the signing key.
        let (kind, name) = match bearer.subject {
            Some(subject) => (PrincipalKind::User, subject),
            None => (PrincipalKind::ServiceKey, id.to_string()),
        };
        let principal =
            Principal { kind, id: name, key: None, agent: None, on_behalf_of: None, auth: AuthMethod::Jwt };
        Ok((standing, principal, Rights::Granted { role: bearer.role, scopes: bearer.scopes }))
    }

    /// Lets a delivery in on the strength of its hook's token. What it may do is take the delivery; the
    /// workflow's own signature check comes after.
    pub async fn admit_hook(&self, token: &str, request: RequestFacts) -> Result<HookAdmission, Refusal> {
        let ip = request.ip;
        let outcome = self.hook(token, request).await;
        self.slowed(outcome, ip, None).await
    }

    async fn hook(&self, token: &str, request: RequestFacts) -> Result<HookAdmission, Refusal> {
        let token = HookToken::parse(token).ok_or(Refusal::Unauthorized)?;
        let entry = self.live(CredentialKind::Hook, token.0.expose()).await?;
        let (IndexedSubject::Hook { id, workflow }, Some(standing)) = (entry.subject, entry.tenant) else {
            return Err(Refusal::Unauthorized);
        };
        admissible(&standing, self.env.now())?;
        let principal = system(SystemPrincipal::HookDelivery, AuthMethod::Hook, Some(id.to_string()));
        let rights = Rights::System(SystemPrincipal::HookDelivery);
        let admission = Admission::of(Visit { standing, principal, rights, request, lease: None });
        Ok(HookAdmission { admission, hook: id, workflow })
    }

    /// Finds out whose own worker calls. A tenant whose runs others carry out by now has none, whatever was issued to it
    /// before; one that is suspended is told so, and enters nothing.
    pub async fn own_worker(
        &self,
        credential: Option<&SecretText>,
        request: RequestFacts,
    ) -> Result<OwnWorker, Refusal> {
        let text = credential.map(SecretText::expose).unwrap_or_default();
        let (ip, token) = (request.ip, WorkerToken::parse(text));
        let claimed = token.as_ref().map(|token| token.id);
        let outcome = self.worker(token, request).await;
        self.slowed(outcome, ip, claimed).await
    }

    async fn worker(&self, token: Option<WorkerToken>, request: RequestFacts) -> Result<OwnWorker, Refusal> {
        let token = token.ok_or(Refusal::Unauthorized)?;
        let entry = self.live(CredentialKind::Worker, token.text.expose()).await?;
        match (entry.subject, entry.tenant) {
            (IndexedSubject::Worker { id }, Some(standing)) if id == token.id && standing.own_worker => {
                match admissible(&standing, self.env.now()) {
                    Ok(()) | Err(Refusal::Suspended) => Ok(OwnWorker::authenticated(standing, request)),
                    Err(refusal) => Err(refusal),
                }
            }
            _ => Err(Refusal::Unauthorized),
        }
    }

    /// Lets a named piece of background work in, and writes that into the tenant's log. The only way in
    /// that needs no credential; a tenant that is suspended is entered only for what the operator does to it
    /// and to charge calls that were begun before, one that is being erased only for the former. Where the event cannot be written, nobody is let in.
    pub async fn admit_system(
        &self,
        name: SystemPrincipal,
        tenant: TenantId,
        on_behalf_of: Option<String>,
        request: RequestFacts,
    ) -> Result<Admission, Refusal> {
        let standing = self.index.standing(tenant).await?.ok_or(Refusal::Unauthorized)?;
        // What happens to a tenant after its export would be known here alone.
        if standing.status == TenantStatus::Leaving {
            return Err(Refusal::Suspended);
        }
        let closes_books = name == SystemPrincipal::LeaseExpiry && standing.status == TenantStatus::Suspended;
        if name != SystemPrincipal::OperatorAction && !closes_books {
            admissible(&standing, self.env.now())?;
        }
        let principal = system(name, AuthMethod::Internal, on_behalf_of);
        let rights = Rights::System(name);
        let admission = Admission::of(Visit { standing, principal, rights, request, lease: None });
        let noted = admission.clone().enter(async |tenant| {
            const ADMIT: Action = Action::new("system.admit");
            let draft = crate::event::draft(&tenant, ADMIT, "tenant", tenant.id().to_string());
            self.audit.append(&tenant, draft).await
        });
        noted.await.map_err(|AuditUnavailable| Refusal::Unavailable)?;
        Ok(admission)
    }

    /// Whether a tenant that was let in still takes part, for what goes on for long. Nothing is noted of it.
    pub async fn takes_part(&self, tenant: TenantId) -> Result<bool, Refusal> {
        let standing = self.index.standing(tenant).await?;
        Ok(standing.is_some_and(|standing| admissible(&standing, self.env.now()).is_ok()))
    }

    /// Where the visit's tenant stands by now, for what goes on for long. `None` where it takes part no more. Nothing
    /// is noted of it.
    pub async fn standing_of(&self, tenant: &Tenant<'_>) -> Result<Option<TenantStanding>, Refusal> {
        let standing = self.index.standing(tenant.id()).await?;
        Ok(standing.filter(|standing| admissible(standing, self.env.now()).is_ok()))
    }

    /// The entry of a credential that is known, not revoked and not expired.
    async fn live(&self, kind: CredentialKind, credential: &str) -> Result<IndexEntry, Refusal> {
        let entry = self.index.find(&self.hash(kind, credential)).await?;
        let now = self.env.now();
        entry.filter(|entry| entry.expires_at.is_none_or(|end| now < end)).ok_or(Refusal::Unauthorized)
    }
}

/// The kinds of credential in the index, each with hashes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A tenant's API key.
    ApiKey,
    /// An operator's key.
    OperatorKey,
    /// A signing key, found by its id.
    SigningKey,
    /// A hook's token.
    Hook,
    /// A grant to run the attack suite.
    VerifyGrant,
    /// The token of a tenant's own worker.
    Worker,
}

impl CredentialKind {
    /// The kind's name, as it enters the hash.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::OperatorKey => "operator_key",
            Self::SigningKey => "signing_key",
            Self::Hook => "hook",
            Self::VerifyGrant => "verify_grant",
            Self::Worker => "worker",
        }
    }
}

pub(crate) fn admissible(standing: &TenantStanding, now: Timestamp) -> Result<(), Refusal> {
    // A throwaway tenant ends with its grant, whatever keys were made in it.
    if standing.throwaway_until.is_some_and(|end| now >= end) {
        return Err(Refusal::Unauthorized);
    }
    match standing.status {
        TenantStatus::Active => Ok(()),
        TenantStatus::Suspended | TenantStatus::Leaving => Err(Refusal::Suspended),
        TenantStatus::Deleting => Err(Refusal::Unauthorized),
    }
}

pub(crate) fn system(name: SystemPrincipal, auth: AuthMethod, on_behalf_of: Option<String>) -> Principal {
    let id = name.as_str().to_owned();
    Principal { kind: PrincipalKind::System, id, key: None, agent: None, on_behalf_of, auth }
}

fn claimed_key(credential: &str) -> Option<KeyId> {
    let operator = || OperatorKey::parse(credential).map(|key| key.id);
    let grant = || GrantKey::parse(credential).map(|key| key.id);
    ApiKey::parse(credential).map(|key| key.id).or_else(operator).or_else(grant)
}
