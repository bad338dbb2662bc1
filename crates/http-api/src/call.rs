//! Who calls: the extractors that turn a request's headers into an admission or an operator.

use crate::Api;
use crate::problem::Refused;
use crate::query;
use axum::extract::FromRequestParts;
use context::{Admission, Caller, Operator, Presented, Refusal, RequestFacts};
use errors::{Code, Problem};
use http::HeaderMap;
use http::header::{AUTHORIZATION, IF_MATCH, USER_AGENT};
use http::request::Parts;
use ids::{RequestId, Slug};
use secret::SecretText;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use store::Page;

const MAX_USER_AGENT: usize = 256;
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

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

/// What the caller says about repeating and overwriting.
pub(crate) struct Conditions {
    /// The idempotency key with the place that it is used in, hashed.
    pub(crate) idempotency: Option<[u8; 32]>,
    /// The version that the object must have.
    pub(crate) expected: Option<u64>,
}

impl FromRequestParts<Api> for TenantCall {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        match authenticate(parts, api).await? {
            Caller::Tenant(admission) => {
                let limiter = &api.app.limiter;
                admission.clone().enter(async |tenant| limiter.request(&tenant).await).await?;
                query::check(parts)?;
                let conditions = Conditions::read(parts)?;
                Ok(Self { admission, conditions })
            }
            Caller::Operator(_) => {
                let detail = "An operator's key cannot look into a tenant. Use a key of the tenant.";
                Err(Problem::new(Code::Forbidden, detail).into())
            }
        }
    }
}

impl FromRequestParts<Api> for OperatorCall {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        match authenticate(parts, api).await? {
            Caller::Operator(operator) => {
                query::check(parts)?;
                Ok(Self { operator, conditions: Conditions::read(parts)? })
            }
            Caller::Tenant(_) => {
                Err(Problem::new(Code::Forbidden, "This call needs an operator's key.").into())
            }
        }
    }
}

async fn authenticate(parts: &Parts, api: &Api) -> Result<Caller, Refusal> {
    let presented =
        Presented { credential: credential(&parts.headers), tenant_header: tenant_header(&parts.headers) };
    api.app.authenticator.authenticate(&presented, facts(parts, api)).await
}

/// The tenant that the caller says it means. Several headers, or one that is no text, name no tenant that a
/// credential could have.
fn tenant_header(headers: &HeaderMap) -> Option<String> {
    headers.contains_key("x-tenant-id").then(|| single(headers, "x-tenant-id").unwrap_or_default().to_owned())
}

/// A header's text, if there is one such header and no more.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())?.to_str().ok()
}

/// The bearer credential: one `Authorization` header, or one `x-api-key` where there is none.
fn credential(headers: &HeaderMap) -> Option<SecretText> {
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
    let user_agent = text(&parts.headers, USER_AGENT.as_str());
    RequestFacts {
        id,
        ip: peer.map(|ip| ip.to_canonical()),
        user_agent: user_agent.map(|text| text.chars().take(MAX_USER_AGENT).collect()),
        trace_link: text(&parts.headers, "traceparent").and_then(trace_id),
        deadline: None,
    }
}

/// The trace id in a `traceparent` header (W3C Trace Context, section 3.2.2).
fn trace_id(header: &str) -> Option<String> {
    let id = header.split('-').nth(1)?;
    let well_formed =
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (well_formed && id.bytes().any(|byte| byte != b'0')).then(|| id.to_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl Conditions {
    fn read(parts: &Parts) -> Result<Self, Problem> {
        let idempotency = match text(&parts.headers, "idempotency-key") {
            None => None,
            Some(key) if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) => {
                let place = format!("{}\n{}\n", parts.method, parts.uri.path());
                Some(Sha256::new().chain_update(place).chain_update(key).finalize().into())
            }
            Some(_) => {
                return Err(Problem::invalid("`Idempotency-Key` must have 1 to 255 characters."));
            }
        };
        let expected = match text(&parts.headers, IF_MATCH.as_str()) {
            None | Some("*") => None,
            Some(tag) => {
                let version = tag.trim().trim_start_matches("W/").trim_matches('"').parse();
                // A tag that is none of ours matches nothing, as the header demands.
                Some(version.unwrap_or(u64::MAX))
            }
        };
        Ok(Self { idempotency, expected })
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
