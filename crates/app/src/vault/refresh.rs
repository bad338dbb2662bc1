//! One refresh of an OAuth credential, in a visit of its own as the system principal `credential_refresh`.
//!
//! The intent is durable before the request leaves and the new tokens are durable before anybody uses them.
//! Every write carries the version that was read, so whoever loses a race changes nothing and reads again.

use super::accept::token_endpoint;
use super::contents::{AccessToken, Contents, Grant, Need, OAuth2, Secret};
use super::oauth::{self, Answer, Tokens};
use super::seal::{Place, SealError, Sealer};
use crate::{fail, note};
use audit::event::{Action, Draft, Outcome};
use authz::SystemPrincipal;
use context::{Access, Authenticator, Invoke, Private, Refusal, RequestFacts, Tenant, Update, door, on};
use egress::{AddressPolicy, Egress, EgressError};
use env::{Env, Timestamp};
use errors::{Code, Problem};
use ids::{EventId, Slug, TenantId};
use limiter::{Held, Limiter};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{CallIntent, Commit, Credential, CredentialStatus, KeyPurpose, Objects, StoreError, TenantStore};

const REFRESH: Action = Action::new("credential.refresh");

/// How old an intent is whose refresh has certainly ended, wherever it ran. Longer than a token endpoint
/// may take and the commits beside it.
const LEASE: Duration = Duration::from_secs(120);
/// How often new tokens are offered to a store that cannot take them, and the first pause between.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);

/// What refreshing works with.
pub(super) struct Refresher {
    pub(super) store: Arc<dyn TenantStore>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) egress: Arc<dyn Egress>,
    pub(super) limiter: Arc<dyn Limiter>,
    pub(super) policy: Arc<AddressPolicy>,
    pub(super) env: Env,
    /// Whether no other server works on the same store.
    pub(super) alone: bool,
}

/// A credential whose refresh has begun, durably.
struct Begun {
    row: Credential,
    /// The row's version since then.
    version: u64,
    contents: Contents,
    intent: Option<EventId>,
    began: Timestamp,
}

/// What became of a refresh.
enum Ending {
    Renewed(Tokens),
    /// Nothing changed, and it may be tried again.
    Failed(Problem),
    /// The provider will not, and the credential must be stored again.
    Refused(&'static str),
    /// Whether the provider gave new tokens is not known, so the old ones are not to be tried again.
    Unknown,
}

pub(super) fn must_be_stored_again(service: &Slug) -> Problem {
    let detail = format!(
        "The provider refused to renew the credential `{service}`, or whether it did is not known. Store it \
         again with `PUT /v1/credentials/{service}`."
    );
    Problem::new(Code::NeedsReauthorization, detail)
}

pub(super) fn unopenable(tenant: &Tenant<'_>, service: &Slug, error: SealError) -> Problem {
    tracing::error!(tenant.id = %tenant.id(), %service, %error, "a credential cannot be opened");
    must_be_stored_again(service)
}

impl Refresher {
    /// A sealer under the tenant's vault key.
    pub(super) async fn sealer(&self, tenant: &Tenant<'_>) -> Result<Sealer, Problem> {
        Ok(Sealer::new(&self.store.key(tenant, KeyPurpose::Vault).await?))
    }

    /// Enters the tenant and refreshes, if it is still needed by then.
    pub(super) async fn run(
        self: Arc<Self>,
        tenant: TenantId,
        service: Slug,
        behind: String,
        need: Need,
    ) -> Result<(), Problem> {
        let facts = RequestFacts::internal(self.env.id());
        let name = SystemPrincipal::CredentialRefresh;
        let admission = self.authenticator.admit_system(name, tenant, Some(behind), facts).await;
        let admission = admission.map_err(|refusal| match refusal {
            Refusal::Suspended => refusal.into(),
            _ => Problem::new(Code::Unavailable, "The credential cannot be refreshed now.").retry_after(1),
        })?;
        let visit = admission
            .enter_boxed(move |tenant| Box::pin(async move { self.refresh(&tenant, &service, need).await }));
        visit.await
    }

    async fn refresh(&self, tenant: &Tenant<'_>, service: &Slug, need: Need) -> Result<(), Problem> {
        let read = tenant.authorize::<Invoke<on::Credential>>()?;
        let write = tenant.authorize::<Update<on::Credential>>()?;
        let sealer = self.sealer(tenant).await?;
        let found = self.store.get_to_use::<Credential>(&read, service.as_str()).await?;
        // It is this visit's own principal that looks at the row, to write it again.
        let (row, version) = door::answer(tenant, found).map_err(StoreError::from)?;
        if row.status == CredentialStatus::NeedsReauthorization {
            return Err(must_be_stored_again(service));
        }
        let opened = sealer.open(Place::of(tenant.id(), &row), &row.sealed);
        let contents = opened.map_err(|error| unopenable(tenant, service, error))?;
        let Secret::OAuth2(oauth) = &contents.secret else { return Ok(()) };
        let now = self.env.now();
        if let Some(since) = row.refreshing_since {
            if !self.has_ended(since, now) {
                let detail = "Another server is refreshing the credential.";
                return Err(Problem::new(Code::Unavailable, detail).retry_after(1));
            }
            if oauth.grant == Grant::RefreshToken {
                let begun = Begun { row, version, contents, intent: None, began: now };
                return self.end(tenant, &write, &sealer, begun, Ending::Unknown).await;
            }
        } else if !oauth.wants(need, now) {
            return Ok(());
        }
        if let Some(left) = oauth.rests(now) {
            let detail = "The token endpoint failed a moment ago.";
            return Err(Problem::new(Code::UpstreamFailed, detail).retry_after(left.as_secs() + 1));
        }
        let mut call = self.call(&oauth.token_url);
        let (held, _) = Held::begin(self.limiter.as_ref(), tenant, &(&call).into()).await?;
        let begun = self.begin(tenant, &write, row, version, contents).await?;
        call.intent = begun.intent.map(|event| CallIntent { event, action: REFRESH });
        let (ending, sent) = match self.write_call(tenant, &call, held).await {
            Ok(()) => self.ask(tenant, &begun).await,
            Err(problem) => (Ending::Failed(problem), false),
        };
        // A token that is not kept is lost; a count that is not, only late.
        let outcome = self.end(tenant, &write, &sealer, begun, ending).await;
        self.end_call(tenant, &call, sent).await;
        outcome
    }

    /// Whether a refresh that was begun then has ended without a word. This server has none under way: one
    /// that it had would be the flight that we are in.
    fn has_ended(&self, since: Timestamp, now: Timestamp) -> bool {
        self.alone || now.since(since) > LEASE
    }

    /// Writes down that a refresh begins. Of several that read the same version one gets through.
    async fn begin(
        &self,
        tenant: &Tenant<'_>,
        write: &Access<'_, Update<on::Credential>>,
        mut row: Credential,
        version: u64,
        contents: Contents,
    ) -> Result<Begun, Problem> {
        let began = self.env.now();
        let intent = Draft { result: Outcome::Intent, ..draft(tenant, &row) };
        let intent = self.store.append_events(tenant, vec![intent]).await?.first().copied();
        row.refreshing_since = Some(began);
        match self.store.put(write, &row, Some(version), Commit::default()).await {
            Ok(version) => Ok(Begun { row, version, contents, intent, began }),
            Err(error) => {
                let problem = Problem::from(error);
                let event = Draft { intent, ..fail(draft(tenant, &row), &problem) };
                self.store.append_events(tenant, vec![event]).await?;
                Err(problem)
            }
        }
    }

    /// Asks the token endpoint: what became of it, and whether anything may have left.
    async fn ask(&self, tenant: &Tenant<'_>, begun: &Begun) -> (Ending, bool) {
        let Secret::OAuth2(oauth) = &begun.contents.secret else { return (Ending::Unknown, false) };
        let request = match token_endpoint(&oauth.token_url, &self.policy) {
            Ok(endpoint) => oauth::request(oauth, endpoint).map_err(|_| Problem::internal()),
            Err(problem) => Err(problem),
        };
        let request = match request {
            Ok(request) => request,
            Err(problem) => return (Ending::Failed(problem), false),
        };
        let answer = match self.egress.send(tenant, Private::sent(tenant, request)).await {
            Ok(answer) => door::answer(tenant, answer).map_err(EgressError::from),
            Err(error) => Err(error),
        };
        let rotates = oauth.grant == Grant::RefreshToken;
        let sent = answer.as_ref().map_or_else(EgressError::sent, |_| true);
        let ending = match answer.map(|answer| oauth::read(answer.status, answer.body)) {
            Ok(Answer::Tokens(tokens)) => Ending::Renewed(tokens),
            Ok(Answer::Refused(code)) => Ending::Refused(code),
            Ok(Answer::Unreadable) if rotates => Ending::Unknown,
            Ok(Answer::Failed | Answer::Unreadable) => {
                Ending::Failed(Problem::new(Code::UpstreamFailed, "The token endpoint gave no token."))
            }
            Err(error) if error.sent() && rotates => Ending::Unknown,
            Err(error) => Ending::Failed(error.into()),
        };
        (ending, sent)
    }

    /// Writes down what became of a refresh.
    async fn end(
        &self,
        tenant: &Tenant<'_>,
        write: &Access<'_, Update<on::Credential>>,
        sealer: &Sealer,
        begun: Begun,
        ending: Ending,
    ) -> Result<(), Problem> {
        let Begun { mut row, version, mut contents, intent, began } = begun;
        let (event, outcome) = told(draft(tenant, &row), &row.service, &ending);
        let event = Draft { intent, ..event };
        row.refreshing_since = None;
        row.updated_at = self.env.now();
        match ending {
            Ending::Refused(_) | Ending::Unknown => row.status = CredentialStatus::NeedsReauthorization,
            Ending::Failed(_) => change(&mut contents, |oauth| oauth.failed_at = Some(row.updated_at)),
            Ending::Renewed(tokens) => change(&mut contents, |oauth| renew(oauth, tokens, began)),
        }
        row.expires_at = contents.expires_at();
        row.sealed_version += 1;
        let sealed = sealer.seal(&self.env, Place::of(tenant.id(), &row), &contents);
        row.sealed = sealed.map_err(|_| Problem::internal())?;
        match self.keep(write, &row, version, &event).await {
            Ok(()) => outcome,
            // Somebody stored another credential or removed this one meanwhile: theirs is what counts.
            Err(StoreError::Stale | StoreError::NotFound) => {
                let mut event = event;
                event.details.insert("superseded".into(), json!(true));
                self.store.append_events(tenant, vec![event]).await?;
                Ok(())
            }
            Err(error) => {
                tracing::error!(tenant.id = %tenant.id(), service = %row.service, %error, "a refresh's outcome was not kept");
                Err(error.into())
            }
        }
    }

    /// Offers the row to the store until it takes it: an answer that is not kept is a token lost.
    async fn keep(
        &self,
        write: &Access<'_, Update<on::Credential>>,
        row: &Credential,
        version: u64,
        event: &Draft,
    ) -> Result<(), StoreError> {
        let mut attempt = 0;
        loop {
            match self.store.put(write, row, Some(version), Commit::event(event.clone())).await {
                Err(StoreError::Unavailable | StoreError::TenantUnavailable) if attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE * (1 << attempt)).await;
                    attempt += 1;
                }
                kept => return kept.map(drop),
            }
        }
    }
}

fn draft(tenant: &Tenant<'_>, row: &Credential) -> Draft {
    note(tenant, REFRESH, "credential", row.id.to_string(), [("service", json!(row.service))])
}

/// The event and what those who wait are told.
fn told(draft: Draft, service: &Slug, ending: &Ending) -> (Draft, Result<(), Problem>) {
    match ending {
        Ending::Renewed(_) => (draft, Ok(())),
        Ending::Failed(problem) => (fail(draft, problem), Err(problem.clone())),
        Ending::Refused(code) => {
            let problem = must_be_stored_again(service);
            let mut draft = fail(draft, &problem);
            draft.details.insert("error".into(), json!(code));
            (draft, Err(problem))
        }
        Ending::Unknown => {
            let problem = must_be_stored_again(service);
            (Draft { result: Outcome::OutcomeUnknown, ..fail(draft, &problem) }, Err(problem))
        }
    }
}

fn change(contents: &mut Contents, change: impl FnOnce(&mut OAuth2)) {
    if let Secret::OAuth2(oauth) = &mut contents.secret {
        change(oauth);
    }
}

fn renew(oauth: &mut OAuth2, tokens: Tokens, began: Timestamp) {
    let Tokens { access_token, life, refresh_token } = tokens;
    // Its life is counted from before it was asked for, so that it is never thought longer than it is.
    let expires_at = life.map(|life| began.plus(life));
    oauth.access = Some(AccessToken { token: access_token, obtained_at: began, expires_at });
    oauth.failed_at = None;
    if oauth.grant == Grant::RefreshToken {
        oauth.refresh_token = refresh_token.or(oauth.refresh_token.take());
    }
}
