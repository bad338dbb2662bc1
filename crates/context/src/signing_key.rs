//! The keys with which tenants sign tokens of their own: which algorithms there are, and which public keys
//! (JWK, RFC 7517) are good enough to be registered.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use jsonwebtoken::{Algorithm, DecodingKey};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// The algorithms that a registered signing key may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037).
    EdDSA,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3); keys of 2,048 to 4,096 bits.
    RS256,
}

impl SigningAlgorithm {
    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::EdDSA => Algorithm::EdDSA,
            Self::RS256 => Algorithm::RS256,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::RS256 => "RS256",
        }
    }

    /// Whether `jwk` (RFC 7517) is a public key for signatures by this algorithm, and a sound one. A key
    /// with private members is refused: it has been shown to somebody whom it was not meant for.
    pub fn accepts(self, jwk: &str) -> bool {
        decoding_key(jwk, self).is_some()
    }
}

const LONGEST_JWK: usize = 8192;
/// 2,048 to 4,096 bits, in bytes. Longer ones are slow to check, and every request would pay for it.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// 65,537, the one exponent in use. With 1 everybody could sign; large ones are slow to check.
const EXPONENT: &[u8] = &[1, 0, 1];

/// A JWK's members, as far as they matter here. One that stands twice is an error.
#[derive(Deserialize)]
struct PublicJwk {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    n: Option<String>,
    e: Option<String>,
    #[serde(flatten)]
    private: PrivateMembers,
}

/// The members that only a private or symmetric key has (RFC 7518, sections 6.3.2 and 6.4; RFC 8037).
#[derive(Deserialize)]
struct PrivateMembers {
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl PrivateMembers {
    fn any(&self) -> bool {
        let members = [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth, &self.k];
        members.into_iter().any(Option::is_some)
    }
}

pub(crate) fn decoding_key(jwk: &str, algorithm: SigningAlgorithm) -> Option<DecodingKey> {
    let jwk: PublicJwk = (jwk.len() <= LONGEST_JWK).then(|| serde_json::from_str(jwk).ok())??;
    let for_signatures = jwk.alg.is_none_or(|alg| alg == algorithm.as_str())
        && jwk.purpose.is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.is_none_or(|allowed| allowed.iter().any(|one| one == "verify"));
    if !for_signatures || jwk.private.any() {
        return None;
    }
    match (algorithm, jwk.kty.as_str()) {
        (SigningAlgorithm::EdDSA, "OKP") if jwk.crv? == "Ed25519" => ed25519(&jwk.x?),
        (SigningAlgorithm::RS256, "RSA") => rsa(&jwk.n?, &jwk.e?),
        _ => None,
    }
}

/// Under a key of small order, one signature would fit every message.
fn ed25519(x: &str) -> Option<DecodingKey> {
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok()?;
    let sound = VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak());
    sound.then(|| DecodingKey::from_ed_components(x).ok())?
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let (modulus, exponent) = (URL_SAFE_NO_PAD.decode(n).ok()?, URL_SAFE_NO_PAD.decode(e).ok()?);
    let odd = modulus.last().is_some_and(|last| last % 2 == 1);
    let full = modulus.first().is_some_and(|first| first.leading_zeros() == 0);
    let sound = MODULUS_BYTES.contains(&modulus.len()) && full && odd && exponent == EXPONENT;
    sound.then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}
