//! Tokens that a tenant mints and signs with a key of its own (JWT, RFC 7519).
//!
//! The algorithm comes from the registered key and never from the token (RFC 8725, section 3.1). Times are
//! checked against the clock that the caller passes in.

use crate::index::TenantStanding;
use crate::signing_key::{SigningAlgorithm, decoding_key};
use authz::{Role, Scope, Scopes, SystemPrincipal};
use env::Timestamp;
use ids::{AgentId, HookId, KeyId, SigningKeyId, TenantId};
use jsonwebtoken::Validation;
use serde::{Deserialize, Deserializer, de};

/// The longest that a token may live.
const MAX_LIFETIME_SECONDS: i64 = 3600;
/// How far the minter's clock may be ahead of ours.
const LEEWAY_SECONDS: i64 = 60;
const LONGEST_TOKEN: usize = 8192;
const LONGEST_SUBJECT: usize = 255;

/// The claims that count. One that stands twice is an error.
#[derive(Deserialize)]
struct Claims {
    iss: TenantId,
    tenant: TenantId,
    sub: Option<String>,
    exp: NumericDate,
    iat: Option<NumericDate>,
    nbf: Option<NumericDate>,
    role: Option<Role>,
    scope: Option<String>,
}

/// Seconds since the Unix epoch, which may have a fraction (RFC 7519, section 2). The fraction is cut off.
struct NumericDate(i64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const FARTHEST: f64 = 1e15;
        let number = serde_json::Number::deserialize(deserializer)?;
        let fraction = || number.as_f64().filter(|seconds| seconds.abs() < FARTHEST);
        let seconds = number.as_i64().or_else(|| fraction().map(|seconds| seconds.floor() as i64));
        seconds.map(Self).ok_or_else(|| de::Error::custom("not a moment"))
    }
}

/// Who a good token names, with what it grants.
pub(crate) struct Bearer {
    /// `None` where the token speaks for whoever holds the signing key.
    pub(crate) subject: Option<String>,
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
}

/// The key id that a token claims, if it looks like a token at all. Header members that must be understood
/// (RFC 7515, section 4.1.11) are not, and a token of another type is meant for something else (RFC 8725,
/// section 3.11). Keys and addresses of keys in the header are not looked at.
pub(crate) fn claimed_key(token: &str) -> Option<SigningKeyId> {
    let looks_right = token.len() <= LONGEST_TOKEN && token.bytes().filter(|byte| *byte == b'.').count() == 2;
    let header = looks_right.then(|| jsonwebtoken::decode_header(token).ok())??;
    let an_access_token = header.typ.as_deref().is_none_or(|typ| {
        ["jwt", "at+jwt", "application/at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known))
    });
    let id = header.kid?.parse().ok()?;
    (an_access_token && header.crit.is_none()).then_some(id)
}

/// A registered key, as far as checking a token needs it.
pub(crate) struct Registered<'a> {
    pub(crate) algorithm: SigningAlgorithm,
    pub(crate) public_jwk: &'a str,
    pub(crate) role: Role,
    pub(crate) tenant: &'a TenantStanding,
}

/// Checks `token` against its registered key. `None` for every fault: callers learn no more.
pub(crate) fn verify(token: &str, key: &Registered<'_>, audience: &str, now: Timestamp) -> Option<Bearer> {
    let decoding = decoding_key(key.public_jwk, key.algorithm)?;
    let mut validation = Validation::new(key.algorithm.algorithm());
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["aud", "iss", "exp"]);
    // Times are checked below against the clock that was passed in.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims = jsonwebtoken::decode::<Claims>(token, &decoding, &validation).ok()?.claims;

    let of_the_tenant = claims.iss == key.tenant.id && claims.tenant == key.tenant.id;
    let named = claims.sub.as_deref().is_none_or(is_a_users_name);
    let role = claims.role.unwrap_or(key.role);
    let good = of_the_tenant && named && key.role.may_grant(role) && in_time(&claims, now.seconds());
    let scopes = match claims.scope {
        None => Scopes::everything(),
        Some(text) => {
            text.split_ascii_whitespace().map(str::parse::<Scope>).collect::<Result<_, _>>().ok()?
        }
    };
    good.then_some(Bearer { subject: claims.sub, role, scopes })
}

/// Whether the token holds now, and ends within an hour: of its minting where it says when that was, and of
/// now in any case.
fn in_time(claims: &Claims, now: i64) -> bool {
    let begun = |moment: &Option<NumericDate>| moment.as_ref().is_none_or(|it| it.0 <= now + LEEWAY_SECONDS);
    let minted = claims.iat.as_ref().map_or(now, |iat| iat.0);
    let end = claims.exp.0;
    let short = |from: i64, most: i64| end.checked_sub(from).is_some_and(|life| (1..=most).contains(&life));
    begun(&claims.iat)
        && begun(&claims.nbf)
        && short(now, MAX_LIFETIME_SECONDS + LEEWAY_SECONDS)
        && short(minted, MAX_LIFETIME_SECONDS)
}

/// What a principal owns is found by its name, so a user's name must not be that of another kind of
/// principal; and it stands in logs, so it is one line.
fn is_a_users_name(name: &str) -> bool {
    let of_another_kind = name.parse::<KeyId>().is_ok()
        || name.parse::<SigningKeyId>().is_ok()
        || name.parse::<AgentId>().is_ok()
        || name.parse::<HookId>().is_ok()
        || SystemPrincipal::ALL.iter().any(|system| system.as_str() == name);
    !name.is_empty()
        && name.len() <= LONGEST_SUBJECT
        && !name.chars().any(char::is_control)
        && !of_another_kind
}
