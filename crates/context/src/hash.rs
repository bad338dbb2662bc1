//! Keyed hashes: how a credential stands in the index. Whoever reads the index learns no key, and whoever
//! guesses keys learns nothing from timing, since equal prefixes of guesses have unrelated hashes.

use hmac::{Hmac, KeyInit, Mac};
use secret::SecretBytes;
use sha2::Sha256;
use zeroize::Zeroizing;

/// HMAC-SHA-256 (RFC 2104) of a credential under the index key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyedHash(pub [u8; 32]);

/// The key of the index, derived from the master key.
pub struct IndexKey(SecretBytes<32>);

impl IndexKey {
    /// Takes the key over.
    pub fn new(key: SecretBytes<32>) -> Self {
        Self(key)
    }

    /// The hash under which `credential` stands. `kind` keeps hashes of different kinds apart.
    pub fn hash(&self, kind: &str, credential: &str) -> KeyedHash {
        // A key shorter than the hash's block is padded with zeros (RFC 2104, section 2).
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(self.0.expose());
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(&[u8::try_from(kind.len()).unwrap_or(u8::MAX)]);
        mac.update(kind.as_bytes());
        mac.update(credential.as_bytes());
        KeyedHash(mac.finalize().into_bytes().into())
    }
}
