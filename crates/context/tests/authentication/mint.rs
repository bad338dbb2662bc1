//! A minter of tokens that does as it is told, good or bad.

use crate::world::{AUDIENCE, START, World};
use authz::Role;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use context::SigningAlgorithm;
use ed25519_dalek::SigningKey;
use ids::{SigningKeyId, TenantId};
use jsonwebtoken::{Algorithm, EncodingKey};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::rand_core::{self, CryptoRng, RngCore};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPrivateKey};
use serde_json::{Map, Value, json};

/// The present moment of the tests, in seconds.
pub const NOW: i64 = START.seconds();

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair.
pub struct Minter {
    pub algorithm: Algorithm,
    pub key: EncodingKey,
    pub public_jwk: String,
}

impl Minter {
    pub fn ed25519(seed: u8) -> Self {
        // The one form of such keys (RFC 8410, section 7): everything before the seed is the same.
        let mut der = hex(b"302e020100300506032b657004220420");
        der.extend([seed; 32]);
        let public = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        let public_jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(public.as_bytes())});
        Self {
            algorithm: Algorithm::EdDSA,
            key: EncodingKey::from_ed_der(&der),
            public_jwk: public_jwk.to_string(),
        }
    }

    pub fn rsa(bits: usize) -> Self {
        let private = RsaPrivateKey::new(&mut Seeded(World::new()), bits).unwrap();
        let der = private.to_pkcs1_der().unwrap();
        let member = |number: &BigUint| base64url(&number.to_bytes_be());
        let public_jwk = json!({"kty": "RSA", "n": member(private.n()), "e": member(private.e())});
        Self {
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_der(der.as_bytes()),
            public_jwk: public_jwk.to_string(),
        }
    }

    /// The header and claims, as texts, signed.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        sign(header, claims, &self.key, self.algorithm)
    }

    fn registered(&self) -> SigningAlgorithm {
        match self.algorithm {
            Algorithm::RS256 => SigningAlgorithm::RS256,
            _ => SigningAlgorithm::EdDSA,
        }
    }
}

/// Signs whatever is given, with whatever is given.
pub fn sign(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn hex(digits: &[u8]) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| value(pair[0]) * 16 + value(pair[1])).collect()
}

/// Randomness that is the same every time.
struct Seeded(World);

impl CryptoRng for Seeded {}

impl RngCore for Seeded {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.env.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

/// A tenant with a registered signing key.
pub struct Minting {
    pub world: World,
    pub tenant: TenantId,
    pub kid: SigningKeyId,
    pub minter: Minter,
}

impl Minting {
    pub fn new(minter: Minter, role: Role) -> Self {
        let world = World::new();
        let tenant = world.tenant();
        let kid = world.signing_key(tenant, minter.registered(), &minter.public_jwk, role);
        Self { world, tenant, kid, minter }
    }

    pub fn header(&self) -> Map<String, Value> {
        object(json!({"alg": self.minter.algorithm, "typ": "JWT", "kid": self.kid}))
    }

    /// What a good token says.
    pub fn claims(&self) -> Map<String, Value> {
        object(json!({
            "iss": self.tenant, "tenant": self.tenant, "aud": AUDIENCE, "sub": "ada@example.com",
            "iat": NOW, "exp": NOW + 600,
        }))
    }

    /// A token whose header and claims differ from a good one's in these members. A null takes one out.
    pub fn token(&self, header: Value, claims: Value) -> String {
        let header = altered(self.header(), header);
        let claims = altered(self.claims(), claims);
        self.minter.sign(&header, &claims)
    }

    /// Whether a token with these claims lets anybody in.
    pub async fn admits(&self, claims: Value) -> bool {
        self.world.present(&self.token(json!({}), claims), None).await.is_ok()
    }
}

fn altered(mut members: Map<String, Value>, by: Value) -> String {
    for (name, value) in object(by) {
        match value {
            Value::Null => members.remove(&name),
            value => members.insert(name, value),
        };
    }
    Value::Object(members).to_string()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}
