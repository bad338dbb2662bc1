//! Tokens that a tenant mints and signs with a key of its own (JWT, RFC 7519).
//!
//! The algorithm comes from the registered key and never from the token (RFC 8725, section 3.1). Times are
//! checked against the clock that the caller passes in.

use crate::index::TenantStanding;
use authz::{Role, Scope, Scopes};
use env::Timestamp;
use ids::{SigningKeyId, TenantId};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The algorithms that a registered signing key may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037).
    EdDSA,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3); keys of 2,048 bits or more.
    RS256,
}

impl SigningAlgorithm {
    const fn algorithm(self) -> Algorithm {
        match self {
            Self::EdDSA => Algorithm::EdDSA,
            Self::RS256 => Algorithm::RS256,
        }
    }

    /// Whether `jwk` (RFC 7517) is a public key for this algorithm.
    pub fn accepts(self, jwk: &str) -> bool {
        decoding_key(jwk, self).is_some()
    }
}

/// The longest that a token may live.
const MAX_LIFETIME_SECONDS: i64 = 3600;
/// How far the minter's clock may be ahead of ours.
const LEEWAY_SECONDS: i64 = 60;

#[derive(Deserialize)]
struct Claims {
    iss: TenantId,
    tenant: TenantId,
    sub: String,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    role: Option<Role>,
    scope: Option<String>,
}

/// Who a good token names, with what it grants.
pub(crate) struct Bearer {
    pub(crate) subject: String,
    pub(crate) role: Role,
    pub(crate) scopes: Scopes,
}

/// The key id that a token claims, if it looks like a token at all.
pub(crate) fn claimed_key(token: &str) -> Option<SigningKeyId> {
    let looks_right = token.len() <= 8192 && token.bytes().filter(|byte| *byte == b'.').count() == 2;
    let header = looks_right.then(|| jsonwebtoken::decode_header(token).ok())??;
    header.kid?.parse().ok()
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
    validation.set_required_spec_claims(&["aud", "iss", "sub", "exp"]);
    // Times are checked below against the clock that was passed in.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims = jsonwebtoken::decode::<Claims>(token, &decoding, &validation).ok()?.claims;

    let now = now.seconds();
    let in_time = now < claims.exp
        && claims.iat <= now + LEEWAY_SECONDS
        && claims.nbf.is_none_or(|nbf| nbf <= now + LEEWAY_SECONDS)
        && claims.exp.checked_sub(claims.iat).is_some_and(|life| (1..=MAX_LIFETIME_SECONDS).contains(&life));
    let of_the_tenant = claims.iss == key.tenant.id && claims.tenant == key.tenant.id;
    let role = claims.role.unwrap_or(key.role);
    let named = !claims.sub.is_empty() && claims.sub.len() <= 255;
    let scopes = match claims.scope {
        None => Scopes::everything(),
        Some(text) => {
            text.split_ascii_whitespace().map(str::parse::<Scope>).collect::<Result<_, _>>().ok()?
        }
    };
    (in_time && of_the_tenant && named && key.role.may_grant(role)).then_some(Bearer {
        subject: claims.sub,
        role,
        scopes,
    })
}

fn decoding_key(jwk: &str, algorithm: SigningAlgorithm) -> Option<DecodingKey> {
    use base64::Engine as _;
    let jwk: Jwk = serde_json::from_str(jwk).ok()?;
    let fits = match (&jwk.algorithm, algorithm) {
        (jsonwebtoken::jwk::AlgorithmParameters::OctetKeyPair(_), SigningAlgorithm::EdDSA) => true,
        (jsonwebtoken::jwk::AlgorithmParameters::RSA(rsa), SigningAlgorithm::RS256) => {
            let modulus = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
            (256..=1024).contains(&modulus.len())
        }
        _ => false,
    };
    fits.then(|| DecodingKey::from_jwk(&jwk).ok())?
}
