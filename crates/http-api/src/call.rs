//! Who calls: the extractors that turn a request's headers into an admission or an operator.

use crate::Api;
use crate::bodies::Payer;
use crate::problem::Refused;
use crate::query::{self, Declared};
use axum::extract::FromRequestParts;
use context::{Admission, Caller, Grant, Operator, OwnWorker, Presented, Refusal, RequestFacts};
use errors::{Code, Problem};
use http::header::{AUTHORIZATION, IF_MATCH, USER_AGENT};
use http::request::Parts;
use http::{Extensions, HeaderMap, StatusCode};
use ids::{RequestId, Slug};
use secret::SecretText;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use store::{Page, PlannedAnswer};

const MAX_USER_AGENT: usize = 256;
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who was let in, for what stands around the call: it is put there empty.
#[derive(Clone, Default)]
pub(crate) struct LetIn(Arc<OnceLock<Admission>>);

impl LetIn {
    /// The way in, where there was one.
    pub(crate) fn admission(&self) -> Option<&Admission> {
        self.0.get()
    }
}

/// Says who was let in: to what stands around the call, and to its lines in the log.
pub(crate) async fn let_in(extensions: &Extensions, admission: &Admission) {
    let kind = admission.clone().enter(async |tenant| tenant.principal().kind.as_str()).await;
    let span = tracing::Span::current();
    span.record("tenant.id", tracing::field::display(admission.tenant_id()));
    span.record("principal.kind", kind);
    if let Some(LetIn(place)) = extensions.get() {
        // Nobody is let in twice.
        let _ = place.set(admission.clone());
    }
}

/// A call by a principal of a tenant.
pub(crate) struct TenantCall {
    pub(crate) admission: Admission,
    pub(crate) conditions: Conditions,
}

/// A call by an operator.
pub(crate) struct OperatorCall {
    pub(crate) operator: Operator,
    pub(crate) conditions: Conditions,
}

/// A call by whoever makes and deletes tenants: an operator, or a grant its own throwaway ones.
pub(crate) struct MakerCall {
    /// The call, in the grant's own name where it is a grant's.
    pub(crate) call: OperatorCall,
    /// The grant.
    pub(crate) grant: Option<Grant>,
}

/// What the caller says about repeating and overwriting.
pub(crate) struct Conditions {
    /// The idempotency key with the place that it is used in, hashed.
    pub(crate) idempotency: Option<[u8; 32]>,
    /// The version that the object must have.
    pub(crate) expected: Option<u64>,
    /// What a repeated request is answered with, as far as the route knows before it writes.
    pub(crate) answer: PlannedAnswer,
}

impl TenantCall {
    /// The same call, whose repetition is answered with this status and what the use case writes. The use
    /// case fills the claim in, so that the answer is committed with the write.
    pub(crate) fn answering(mut self, status: StatusCode) -> Self {
        let members = serde_json::Map::new();
        self.conditions.answer = PlannedAnswer::Form { status: status.as_u16(), members };
        self
    }

    /// The same, but this member is null in the answer to a repeated request.
    pub(crate) fn hiding(mut self, member: &str) -> Self {
        if let PlannedAnswer::Form { members, .. } = &mut self.conditions.answer {
            members.insert(member.to_owned(), serde_json::Value::Null);
        }
        self
    }
}

impl FromRequestParts<Api> for TenantCall {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        match authenticate(parts, api).await? {
            Caller::Tenant(admission) => {
                let_in(&parts.extensions, &admission).await;
                let limiter = &api.app.limiter;
                admission.clone().enter(async |tenant| limiter.request(&tenant).await).await?;
                query::check(parts)?;
                let conditions = Conditions::read(parts)?;
                parts.extensions.insert(Payer::Tenant(admission.tenant_id()));
                Ok(Self { admission, conditions })
            }
            Caller::Operator(_) => {
                let detail = "An operator's key cannot look into a tenant. Use a key of the tenant.";
                Err(Problem::new(Code::Forbidden, detail).into())
            }
            Caller::Grant(_) => Err(grants_do_not()),
        }
    }
}

impl FromRequestParts<Api> for OperatorCall {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        match authenticate(parts, api).await? {
            Caller::Operator(operator) => {
                tracing::Span::current().record("principal.kind", "operator");
                query::check(parts)?;
                parts.extensions.insert(Payer::Operators);
                Ok(Self { operator, conditions: Conditions::read(parts)? })
            }
            Caller::Tenant(_) => {
                Err(Problem::new(Code::Forbidden, "This call needs an operator's key.").into())
            }
            Caller::Grant(_) => Err(grants_do_not()),
        }
    }
}

/// A call by the worker that a tenant has for itself.
pub(crate) struct WorkerCall(pub(crate) OwnWorker);

impl FromRequestParts<Api> for WorkerCall {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let (credential, facts) = (credential(&parts.headers), facts(parts, api));
        let worker = api.app.authenticator.own_worker(credential.as_ref(), facts).await?;
        let tenant = worker.standing().id;
        if tenant_header(&parts.headers).is_some_and(|header| header != tenant.to_string()) {
            return Err(Refusal::TenantMismatch.into());
        }
        let span = tracing::Span::current();
        span.record("tenant.id", tracing::field::display(tenant));
        span.record("principal.kind", "own_worker");
        query::check(parts)?;
        parts.extensions.insert(Payer::Tenant(tenant));
        Ok(Self(worker))
    }
}

/// What a grant is told wherever it has no business: everywhere but at [`MakerCall`].
fn grants_do_not() -> Refused {
    let detail =
        "A grant to run the attack suite makes and deletes its own throwaway tenants, and nothing else.";
    Problem::new(Code::Forbidden, detail).into()
}

impl FromRequestParts<Api> for MakerCall {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        match authenticate(parts, api).await? {
            Caller::Grant(grant) => {
                tracing::Span::current().record("principal.kind", "verify_grant");
                query::check(parts)?;
                parts.extensions.insert(Payer::Grant(grant.id()));
                let operator = grant.as_maker().clone();
                let call = OperatorCall { operator, conditions: Conditions::read(parts)? };
                Ok(Self { call, grant: Some(grant) })
            }
            Caller::Operator(_) | Caller::Tenant(_) => {
                let call = OperatorCall::from_request_parts(parts, api).await?;
                Ok(Self { call, grant: None })
            }
        }
    }
}

async fn authenticate(parts: &Parts, api: &Api) -> Result<Caller, Refusal> {
    let presented = Presented { tenant_header: tenant_header(&parts.headers), ..presented(&parts.headers) };
    let outcome = api.app.authenticator.authenticate(&presented, facts(parts, api)).await;
    if matches!(outcome, Err(Refusal::TenantMismatch)) {
        // The credential holds, so its own tenant's log tells of the attempt.
        let own = Presented { tenant_header: None, ..presented };
        if let Ok(Caller::Tenant(admission)) =
            api.app.authenticator.authenticate(&own, facts(parts, api)).await
        {
            let_in(&parts.extensions, &admission).await;
        }
    }
    outcome
}

/// The credential that the caller presents, without anything beside it.
pub(crate) fn presented(headers: &HeaderMap) -> Presented {
    Presented { credential: credential(headers), tenant_header: None }
}

/// The tenant that the caller says it means. Several headers, or one that is no text, name no tenant that a
/// credential could have.
pub(crate) fn tenant_header(headers: &HeaderMap) -> Option<String> {
    headers.contains_key("x-tenant-id").then(|| single(headers, "x-tenant-id").unwrap_or_default().to_owned())
}

/// A header's text, if there is one such header and no more.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

/// The bearer credential: one `Authorization` header, or one `x-api-key` where there is none.
pub(crate) fn credential(headers: &HeaderMap) -> Option<SecretText> {
    let text = match headers.contains_key(AUTHORIZATION) {
        true => {
            let (scheme, credential) = single(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())?
        }
        false => single(headers, "x-api-key")?,
    };
    Some(SecretText::new(text.to_owned()))
}

/// What is known of a request besides its credential.
pub(crate) fn facts(parts: &Parts, api: &Api) -> RequestFacts {
    let id = parts.extensions.get::<RequestId>().copied().unwrap_or_else(|| api.app.env.id());
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let time = parts.extensions.get::<Declared>().and_then(|declared| declared.time);
    let user_agent = text(&parts.headers, USER_AGENT.as_str());
    RequestFacts {
        id,
        ip: peer.map(|ip| ip.to_canonical()),
        user_agent: user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect()),
        trace_link: trace_link(&parts.headers).map(str::to_owned),
        deadline: time.map(|time| api.app.env.now().plus(time)),
    }
}

/// The trace id that the caller sent, well formed: a link, never ours.
pub(crate) fn trace_link(headers: &HeaderMap) -> Option<&str> {
    text(headers, "traceparent").and_then(trace_id)
}

/// The trace id in a `traceparent` header (W3C Trace Context, section 3.2.2).
fn trace_id(header: &str) -> Option<&str> {
    let id = header.split('-').nth(1)?;
    let well_formed =
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (well_formed && id.bytes().any(|byte| byte != b'0')).then_some(id)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The text of a header that may be left out. One that is there and cannot be read says something that we
/// would otherwise act against.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    single(headers, name).map(Some).ok_or_else(|| {
        Problem::invalid(format!("Send `{name}` once and in visible ASCII characters, or leave it out."))
    })
}

impl Conditions {
    pub(crate) fn read(parts: &Parts) -> Result<Self, Problem> {
        let idempotency = match one(&parts.headers, "idempotency-key")? {
            None => None,
            Some(key) if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) => {
                let place = format!("{}\n{}\n", parts.method, parts.uri.path());
                Some(Sha256::new().chain_update(place).chain_update(key).finalize().into())
            }
            Some(_) => {
                return Err(Problem::invalid("`Idempotency-Key` must have 1 to 255 characters."));
            }
        };
        let expected = match one(&parts.headers, IF_MATCH.as_str())? {
            None | Some("*") => None,
            Some(tag) => {
                let version = tag.trim().trim_start_matches("W/").trim_matches('"').parse();
                // A tag that is none of ours matches nothing, as the header demands.
                Some(version.unwrap_or(u64::MAX))
            }
        };
        Ok(Self { idempotency, expected, answer: PlannedAnswer::Later })
    }
}

/// A part of the path that must be an id or a name: what cannot be one is not found.
pub(crate) fn named<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// A name in the path that the caller chooses freely, such as a collection's.
pub(crate) fn slug(text: &str) -> Result<Slug, Problem> {
    text.parse().map_err(|error| {
        Problem::invalid(format!("`{}`: {error}.", text.chars().take(64).collect::<String>()))
    })
}

/// Cuts off the row that was asked for beyond the page; where to go on is the last one left. For lists of
/// the operator's, whose places are no secret.
pub(crate) fn cut_page<T>(mut rows: Vec<T>, limit: u32, place: impl FnOnce(&T) -> String) -> Page<T> {
    let fits = limit as usize;
    let more = rows.len() > fits;
    rows.truncate(fits);
    let next_cursor = rows.last().filter(|_| more).map(place);
    Page { data: rows, next_cursor }
}
