//! Keys from keys: HKDF-SHA-256 (RFC 5869), one domain for each purpose.

use hkdf::Hkdf;
use secret::SecretBytes;
use sha2::Sha256;

/// What a derived key is for. A literal in our own code, never text from outside: `"journal segment"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Purpose(&'static str);

impl Purpose {
    /// Names a purpose. Two uses of a key under one name would be one key.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.0
    }
}

const DOMAIN: &str = "tenantry derive v1";

/// The key for `purpose` and `context`, such as a segment's number, that follows from `parent`. Another
/// purpose or context gives a key that has nothing to do with it, and none leads back to the parent.
pub fn derive(parent: &SecretBytes<32>, purpose: &Purpose, context: &[u8]) -> SecretBytes<32> {
    expand(parent.expose(), &framed(DOMAIN, &[purpose.0.as_bytes(), context]))
}

/// One byte string from several, so that no other domain or parts give the same: each part is preceded by
/// its length (eight bytes, most significant first). For associated data and derivation contexts.
pub fn framed(domain: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    for part in [domain.as_bytes()].iter().chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// Without a salt: the input is a uniformly random key already (RFC 5869, section 3.1).
fn expand(input: &[u8], info: &[u8]) -> SecretBytes<32> {
    SecretBytes::fill_with(|output| {
        #[expect(clippy::expect_used, reason = "HKDF-SHA-256 gives up to 8,160 bytes, and 32 are asked for")]
        Hkdf::<Sha256>::new(None, input).expand(info, output).expect("32 bytes are within HKDF's limit");
    })
}

#[cfg(test)]
mod tests {
    use super::{Purpose, derive, expand, framed};
    use proptest::prelude::*;
    use secret::SecretBytes;

    /// RFC 5869, appendix A.3 (no salt, no info):
    /// the first 32 bytes, which do not depend on how many are asked for.
    #[test]
    fn the_published_vector_comes_out() {
        assert_eq!(
            hex::encode(expand(&[0x0b; 22], b"").expose()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        );
    }

    /// Another implementation's answer (Python's `hmac`), so that keys stay what they were.
    #[test]
    fn derived_keys_stay_what_they_were() {
        let parent = SecretBytes::fill_with(|bytes| bytes.fill(7));
        let key = derive(&parent, &Purpose::new("journal segment"), b"12");
        assert_eq!(
            hex::encode(key.expose()),
            "46675aff6298a9d81ad81a78b2bfcd7cdd2c503e8d31846e3139219fec2e8f4b"
        );
    }

    #[test]
    fn purpose_and_context_do_not_run_together() {
        let parent = SecretBytes::fill_with(|bytes| bytes.fill(7));
        let a = derive(&parent, &Purpose::new("ab"), b"c");
        let b = derive(&parent, &Purpose::new("a"), b"bc");
        let c = derive(&parent, &Purpose::new("ab"), b"");
        assert!(a != b && b != c && a != c && a != parent);
    }

    proptest! {
        #[test]
        fn different_parts_give_different_bytes(
            one in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3), 0..4),
            two in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3), 0..4),
        ) {
            let bytes = |parts: &[Vec<u8>]| {
                framed("domain", &parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            prop_assert_eq!(bytes(&one) == bytes(&two), one == two);
        }
    }
}
