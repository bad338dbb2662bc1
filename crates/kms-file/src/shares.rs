//! The master key in escrow: split into shares of which any k bring it back and k - 1 say nothing of it
//! (Shamir, "How to share a secret", 1979, byte by byte over the field of 256 elements).
//!
//! A share is one line of text. It says which key it is of, how many it takes, and which one it is, and has a
//! check, so that a mistyped one is told before anything is tried.

use crate::master_key::{MasterKey, MasterKeyError};
use env::Env;
use secret::SecretBytes;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use zeroize::Zeroizing;

const FORM: &str = "tenantry-share-v1";
/// Shares are people or places: more than this cannot be kept track of.
pub const MAX_SHARES: u8 = 16;
const CHECK_BYTES: usize = 8;

/// Why a key is not split or brought back. The texts are for the operator, and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The numbers make no sense.
    #[error("name 2 to {MAX_SHARES} shares, and a threshold from 2 to as many as there are shares")]
    Numbers,
    /// The text is not a share.
    #[error("this is not a share, or it was mistyped or cut: it is one line that begins with `{FORM}`")]
    NotAShare,
    /// The shares are not of one and the same splitting.
    #[error("the shares are of different keys, or of different times that a key was split")]
    Mixed,
    /// One share was given twice.
    #[error("share {0} was given twice")]
    Twice(u8),
    /// There are too few.
    #[error("{given} shares were given, and it takes {needed}")]
    TooFew {
        /// How many there are.
        given: usize,
        /// How many it takes.
        needed: u8,
    },
    /// What came out is not the key.
    #[error("the shares do not give the master key that they name: at least one of them was altered")]
    OtherKey,
    /// The key's file.
    #[error(transparent)]
    File(#[from] MasterKeyError),
}

/// One share of a master key. It does not print by itself.
pub struct Share {
    /// Which master key: its id, which does not give it away.
    master: String,
    /// Which splitting of it.
    set: [u8; 4],
    threshold: u8,
    shares: u8,
    /// Which share, from 1: where the polynomials are looked at.
    number: u8,
    value: SecretBytes<32>,
}

impl Share {
    /// Which share of how many this is, and how many it takes.
    pub fn place(&self) -> (u8, u8, u8) {
        (self.number, self.shares, self.threshold)
    }

    /// The id of the master key.
    pub fn master(&self) -> &str {
        &self.master
    }

    /// The share as its line, with the line break.
    pub fn text(&self) -> Zeroizing<String> {
        let Self { master, set, threshold, shares, number, value } = self;
        let value = Zeroizing::new(hex::encode(value.expose()));
        let body = Zeroizing::new(format!(
            "{FORM} {master} {} {threshold} {shares} {number} {}",
            hex::encode(set),
            value.as_str()
        ));
        Zeroizing::new(format!("{} {}\n", body.as_str(), check(&body)))
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Share({} of {})", self.number, self.master)
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        parse(text).ok_or(ShareError::NotAShare)
    }
}

fn parse(text: &str) -> Option<Share> {
    let (body, given) = text.trim().rsplit_once(' ')?;
    if check(body) != given {
        return None;
    }
    let mut parts = body.split(' ');
    let form = parts.next()? == FORM;
    let (master, set) = (parts.next()?.to_owned(), parts.next()?);
    let (threshold, shares) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (number, digits) = (parts.next()?.parse().ok()?, parts.next()?);
    let mut id = [0; 4];
    hex::decode_to_slice(set, &mut id).ok()?;
    let mut decoded = Ok(());
    let value = SecretBytes::fill_with(|bytes| decoded = hex::decode_to_slice(digits, bytes));
    decoded.ok()?;
    let sensible = numbers(threshold, shares).is_ok() && (1..=shares).contains(&number);
    (form && sensible && parts.next().is_none()).then_some(Share {
        master,
        set: id,
        threshold,
        shares,
        number,
        value,
    })
}

fn check(body: &str) -> String {
    hex::encode(&Sha256::digest(body)[..CHECK_BYTES])
}

fn numbers(threshold: u8, shares: u8) -> Result<(), ShareError> {
    let sensible = (2..=MAX_SHARES).contains(&shares) && (2..=shares).contains(&threshold);
    if sensible { Ok(()) } else { Err(ShareError::Numbers) }
}

impl MasterKey {
    /// Splits the key into `shares`, of which any `threshold` bring it back.
    pub fn split(&self, threshold: u8, shares: u8, env: &Env) -> Result<Vec<Share>, ShareError> {
        numbers(threshold, shares)?;
        let (master, set) = (self.id().to_string(), env.random());
        // A polynomial for each byte of the key: the byte at zero, and random coefficients.
        let random = (1..threshold).map(|_| SecretBytes::<32>::fill_with(|bytes| env.fill(bytes)));
        let random: Vec<_> = random.collect();
        let share = |number: u8| {
            let value = SecretBytes::fill_with(|bytes: &mut [u8; 32]| {
                for (at, byte) in bytes.iter_mut().enumerate() {
                    let coefficients = random.iter().rev().map(|row| row.expose()[at]);
                    let sum = coefficients.fold(0, |sum, coefficient| times(sum ^ coefficient, number));
                    *byte = sum ^ self.key().expose()[at];
                }
            });
            Share { master: master.clone(), set, threshold, shares, number, value }
        };
        Ok((1..=shares).map(share).collect())
    }

    /// Brings a key back from shares of one splitting.
    pub fn combine(shares: &[Share]) -> Result<Self, ShareError> {
        let Some(first) = shares.first() else { return Err(ShareError::TooFew { given: 0, needed: 2 }) };
        let one = |share: &Share| (share.master.clone(), share.set, share.threshold, share.shares);
        if shares.iter().any(|share| one(share) != one(first)) {
            return Err(ShareError::Mixed);
        }
        for (at, share) in shares.iter().enumerate() {
            if shares[..at].iter().any(|other| other.number == share.number) {
                return Err(ShareError::Twice(share.number));
            }
        }
        if shares.len() < usize::from(first.threshold) {
            return Err(ShareError::TooFew { given: shares.len(), needed: first.threshold });
        }
        let weights: Vec<u8> = shares.iter().map(|share| weight(share.number, shares)).collect();
        let key = SecretBytes::fill_with(|bytes: &mut [u8; 32]| {
            for (at, byte) in bytes.iter_mut().enumerate() {
                let parts = shares.iter().zip(&weights);
                *byte = parts.fold(0, |sum, (share, weight)| sum ^ times(share.value.expose()[at], *weight));
            }
        });
        let key = Self::new(key);
        if key.id().to_string() == first.master { Ok(key) } else { Err(ShareError::OtherKey) }
    }

    /// Brings a key back from shares and writes its file, which its owner alone can read. Fails if there is a
    /// file already.
    pub fn recover(path: &Path, shares: &[Share]) -> Result<Self, ShareError> {
        let key = Self::combine(shares)?;
        key.write_new(path)?;
        Ok(key)
    }
}

/// What a share counts for at zero (Lagrange): the product of x / (x - number) over the other shares, where
/// minus is plus.
fn weight(number: u8, shares: &[Share]) -> u8 {
    let others = shares.iter().map(|share| share.number).filter(|x| *x != number);
    others.fold(1, |product, x| times(product, times(x, inverse(x ^ number))))
}

/// A product in the field of 256 elements, modulo x^8 + x^4 + x^3 + x + 1, in a time that the factors do not
/// change.
fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    for _ in 0..8 {
        product ^= a & 0u8.wrapping_sub(b & 1);
        let carry = 0u8.wrapping_sub(a >> 7);
        a = (a << 1) ^ (carry & 0x1b);
        b >>= 1;
    }
    product
}

/// The element by which `a`, which is not zero, gives one: its 254th power.
fn inverse(a: u8) -> u8 {
    let (mut power, mut result) = (a, 1);
    for _ in 0..7 {
        power = times(power, power);
        result = times(result, power);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::{MAX_SHARES, MasterKey, Share, ShareError, inverse, times};
    use env::{Env, Timestamp};
    use proptest::prelude::*;
    use proptest::sample::subsequence;
    use secret::SecretBytes;

    fn env(seed: u64) -> Env {
        Env::fixed(Timestamp::from_millis(0), seed).0
    }

    fn key(seed: u8) -> MasterKey {
        MasterKey::new(SecretBytes::fill_with(|bytes| {
            bytes.iter_mut().zip(0u8..).for_each(|(byte, number)| *byte = number.wrapping_add(seed));
        }))
    }

    fn again(share: &Share) -> Share {
        share.text().parse().unwrap()
    }

    #[test]
    fn the_field_is_the_one_of_the_standard() {
        // FIPS 197, section 4.2: {57} x {83} = {c1}, {57} x {13} = {fe}.
        assert_eq!((times(0x57, 0x83), times(0x57, 0x13)), (0xc1, 0xfe));
        for a in 1..=255 {
            assert_eq!(times(a, inverse(a)), 1);
            assert_eq!((times(a, 0), times(a, 1)), (0, a));
        }
    }

    #[test]
    fn numbers_without_sense_are_refused() {
        for (threshold, shares) in [(1, 3), (0, 0), (4, 3), (2, 1), (2, MAX_SHARES + 1)] {
            assert!(matches!(key(1).split(threshold, shares, &env(1)), Err(ShareError::Numbers)));
        }
    }

    #[test]
    fn shares_that_do_not_go_together_are_refused() {
        let (one, other) = (key(1).split(2, 3, &env(1)).unwrap(), key(1).split(2, 3, &env(2)).unwrap());
        let mixed = [again(&one[0]), again(&other[1])];
        assert!(matches!(MasterKey::combine(&mixed), Err(ShareError::Mixed)));
        let twice = [again(&one[0]), again(&one[0])];
        assert!(matches!(MasterKey::combine(&twice), Err(ShareError::Twice(1))));
        let few = MasterKey::combine(&[again(&one[2])]);
        assert!(matches!(few, Err(ShareError::TooFew { given: 1, needed: 2 })));
        assert!(matches!(MasterKey::combine(&[]), Err(ShareError::TooFew { .. })));
        let mut altered = [again(&one[0]), again(&one[1])];
        altered[0].value = SecretBytes::fill_with(|bytes| bytes.fill(9));
        assert!(matches!(MasterKey::combine(&altered), Err(ShareError::OtherKey)));
    }

    #[test]
    fn a_mistyped_share_is_told_and_none_prints() {
        let share = &key(1).split(2, 3, &env(1)).unwrap()[0];
        let text = share.text();
        for at in 0..text.trim_end().len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<Share>().is_err(), "{changed}");
        }
        assert!("".parse::<Share>().is_err() && text[..40].parse::<Share>().is_err());
        assert!(!format!("{share:?}").contains(text.trim_end().rsplit(' ').nth(1).unwrap()));
    }

    #[test]
    fn one_share_less_than_it_takes_goes_with_every_key() {
        // For each value that the key's first byte could have there is a polynomial through the shares that
        // are there: so they do not say which it is.
        let shares = key(1).split(3, 3, &env(1)).unwrap();
        let value = |at: usize| shares[at].value.expose()[0];
        for guess in 0..=255u8 {
            let slope = |at: u8, of: u8| times(of ^ guess, inverse(at));
            // Two equations for two coefficients: their determinant, 1 + 2, is not zero.
            let (first, second) = (slope(1, value(0)), slope(2, value(1)));
            let upper = times(first ^ second, inverse(1 ^ 2));
            let lower = first ^ upper;
            let through = |x: u8| guess ^ times(x, lower ^ times(x, upper));
            assert_eq!((through(1), through(2)), (value(0), value(1)));
        }
    }

    #[test]
    fn a_key_is_brought_back_into_a_private_file_that_is_not_written_over() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let shares = key(1).split(2, 3, &env(1)).unwrap();
        MasterKey::recover(&path, &shares[1..]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(MasterKey::load(&path).unwrap().key() == key(1).key());
        assert!(matches!(MasterKey::recover(&path, &shares), Err(ShareError::File(_))));
    }

    proptest! {
        #[test]
        fn any_of_them_bring_the_key_back(
            (threshold, shares, chosen) in (2..=MAX_SHARES).prop_flat_map(|shares| (2..=shares, Just(shares)))
                .prop_flat_map(|(threshold, shares)| {
                    let all: Vec<usize> = (0..usize::from(shares)).collect();
                    (Just(threshold), Just(shares), subsequence(all, usize::from(threshold)..=usize::from(shares)))
                }),
            seed: u8,
            random: u64,
        ) {
            let made = key(seed).split(threshold, shares, &env(random)).unwrap();
            let chosen: Vec<Share> = chosen.into_iter().rev().map(|at| again(&made[at])).collect();
            let back = MasterKey::combine(&chosen).unwrap();
            prop_assert!(back.key() == key(seed).key());
        }
    }
}
