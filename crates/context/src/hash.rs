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

#[cfg(test)]
mod tests {
    use super::IndexKey;
    use secret::SecretBytes;

    #[test]
    fn a_hash_is_of_one_key_one_kind_and_one_credential() {
        let key = IndexKey::new(SecretBytes::take(&mut [7; 32]));
        let other = IndexKey::new(SecretBytes::take(&mut [8; 32]));
        let hash = key.hash("hook", "secret");
        assert_eq!(hash, key.hash("hook", "secret"));
        for different in [
            other.hash("hook", "secret"),
            key.hash("book", "secret"),
            key.hash("hooks", "ecret"),
            key.hash("hoo", "ksecret"),
            key.hash("hook", "secreT"),
        ] {
            assert_ne!(hash, different);
        }
    }

    #[test]
    fn it_is_the_hmac_of_rfc_2104() {
        // HMAC-SHA-256 under 32 bytes of 0x07 of the bytes 04 "hook" "secret", by an independent program.
        let expected = "4b80ebfd0d6e21a3d88b9a18dd3bc1f9550b90e93c9af844bd87f0e3f20172de";
        let hash = IndexKey::new(SecretBytes::take(&mut [7; 32])).hash("hook", "secret");
        let hex: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}
