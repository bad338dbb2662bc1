//! Sealing single values: AES-256-GCM (NIST SP 800-38D) with associated data and a fresh random nonce.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use env::Env;
use secret::SecretBytes;
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub const NONCE_LENGTH: usize = 12;
/// Bytes of an authentication tag.
pub const TAG_LENGTH: usize = 16;
/// Bytes that sealing adds to a value: the nonce before it, the tag after it.
pub const OVERHEAD: usize = NONCE_LENGTH + TAG_LENGTH;

/// The value cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AeadError {
    /// It was altered, or sealed under another key or for another place. Which of these is not knowable.
    #[error("the sealed value is not authentic")]
    NotAuthentic,
    /// It is longer than the cipher allows under one nonce, 64 GiB.
    #[error("the value is too long to be sealed at once")]
    TooLong,
}

/// A key made ready to seal and open. Wiped when dropped.
///
/// Nonces are random, so one key must seal no more than 2³² values (SP 800-38D, section 8.3): derive one
/// per purpose and segment with [`crate::derive`]. Being random they need no state, and a restored snapshot
/// does not repeat them.
pub struct Cipher(Aes256Gcm);

impl Cipher {
    /// Makes the key ready.
    pub fn new(key: &SecretBytes<32>) -> Self {
        Self(Aes256Gcm::new(key.expose().into()))
    }

    /// Seals `value`: nonce, ciphertext, tag. `place` says where it belongs and is authenticated with it;
    /// put one together from several parts with [`crate::framed`].
    pub fn seal(&self, env: &Env, place: &[u8], value: &[u8]) -> Result<Vec<u8>, AeadError> {
        let nonce = env.random::<NONCE_LENGTH>();
        let mut sealed = Vec::with_capacity(value.len() + OVERHEAD);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = self.seal_in_place(&nonce, place, &mut sealed[NONCE_LENGTH..])?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what [`Cipher::seal`] made for the same `place`.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AeadError> {
        let (nonce, rest) = sealed.split_first_chunk().ok_or(AeadError::NotAuthentic)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(AeadError::NotAuthentic)?;
        let mut value = Zeroizing::new(ciphertext.to_vec());
        self.open_in_place(nonce, place, &mut value, tag)?;
        Ok(value)
    }

    /// Seals `value` where it stands and gives its tag. The caller answers for the nonce being fresh.
    pub(crate) fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        place: &[u8],
        value: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], AeadError> {
        self.0
            .encrypt_inout_detached(nonce.into(), place, value.into())
            .map(Into::into)
            .map_err(|_| AeadError::TooLong)
    }

    /// Opens `value` where it stands. On failure it is left as it was.
    pub(crate) fn open_in_place(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        place: &[u8],
        value: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), AeadError> {
        self.0
            .decrypt_inout_detached(nonce.into(), place, value.into(), tag.into())
            .map_err(|_| AeadError::NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use super::{AeadError, Cipher, OVERHEAD};
    use env::{Env, FixedClock, Rng, Timestamp};
    use proptest::prelude::*;
    use secret::SecretBytes;
    use std::sync::Arc;

    /// Gives the same bytes again and again, as a known-answer test needs its nonce.
    struct Repeating(Vec<u8>);

    impl Rng for Repeating {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.0);
        }
    }

    fn seeded() -> Env {
        Env::fixed(Timestamp::from_millis(0), 1).0
    }

    fn cipher(seed: u8) -> Cipher {
        Cipher::new(&SecretBytes::fill_with(|bytes| bytes.fill(seed)))
    }

    /// McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16, as submitted to NIST.
    #[test]
    fn the_published_vector_comes_out() {
        let text = |digits: &str| hex::decode(digits).unwrap();
        let half = "feffe9928665731c6d6a8f9467308308";
        let mut key: [u8; 32] = text(&format!("{half}{half}")).try_into().unwrap();
        let nonce = text("cafebabefacedbaddecaf888");
        let value = text(concat!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        ));
        let place = text("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let expected = text(concat!(
            "cafebabefacedbaddecaf888",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ));
        let clock = Arc::new(FixedClock::at(Timestamp::from_millis(0)));
        let env = Env::new(clock, Arc::new(Repeating(nonce)));
        let cipher = Cipher::new(&SecretBytes::take(&mut key));
        assert_eq!(cipher.seal(&env, &place, &value).unwrap(), expected);
        assert_eq!(*cipher.open(&place, &expected).unwrap(), value);
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        let env = seeded();
        let cipher = cipher(1);
        assert_ne!(cipher.seal(&env, b"", b"value").unwrap(), cipher.seal(&env, b"", b"value").unwrap());
    }

    #[test]
    fn what_is_too_short_is_not_authentic() {
        for length in 0..OVERHEAD {
            assert_eq!(cipher(1).open(b"", &vec![0; length]), Err(AeadError::NotAuthentic));
        }
    }

    proptest! {
        #[test]
        fn only_the_same_key_place_and_bytes_open(
            value in proptest::collection::vec(any::<u8>(), 0..200),
            place in proptest::collection::vec(any::<u8>(), 1..60),
            at in any::<proptest::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let sealed = cipher(1).seal(&seeded(), &place, &value).unwrap();
            prop_assert_eq!(sealed.len(), value.len() + OVERHEAD);
            prop_assert_eq!(&*cipher(1).open(&place, &sealed).unwrap(), &value);
            prop_assert_eq!(cipher(2).open(&place, &sealed), Err(AeadError::NotAuthentic));

            let mut altered = sealed.clone();
            altered[at.index(sealed.len())] ^= 1 << bit;
            prop_assert_eq!(cipher(1).open(&place, &altered), Err(AeadError::NotAuthentic));

            let mut elsewhere = place.clone();
            elsewhere[at.index(place.len())] ^= 1 << bit;
            prop_assert_eq!(cipher(1).open(&elsewhere, &sealed), Err(AeadError::NotAuthentic));
            let cut = &sealed[..at.index(sealed.len())];
            prop_assert_eq!(cipher(1).open(&place, cut), Err(AeadError::NotAuthentic));
        }
    }
}
