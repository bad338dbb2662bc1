//! Secrets as types: they do not print, do not serialise, compare in constant time, and are wiped when
//! dropped. Reading one is a call of `expose`, so that `grep expose` lists every place that does.

use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// `N` secret bytes, on the heap so that moving the value leaves no copies behind.
pub struct SecretBytes<const N: usize>(Box<Zeroizing<[u8; N]>>);

impl<const N: usize> SecretBytes<N> {
    /// Takes the bytes over. The caller's copy is wiped.
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let mut kept = Box::new(Zeroizing::new([0; N]));
        kept.copy_from_slice(bytes);
        bytes.zeroize();
        Self(kept)
    }

    /// Makes the bytes in place.
    pub fn fill_with(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut kept = Box::new(Zeroizing::new([0; N]));
        fill(&mut kept);
        Self(kept)
    }

    /// The bytes, for the moment of their use.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Clone for SecretBytes<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<const N: usize> PartialEq for SecretBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl<const N: usize> Eq for SecretBytes<N> {}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SecretBytes<{N}>(…)")
    }
}

/// Secret text: a key, a token, a password.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the moment of its use.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{SecretBytes, SecretText};

    #[test]
    fn secrets_do_not_print() {
        let bytes = SecretBytes::take(&mut [0xab; 4]);
        let text = SecretText::new("hunter2".into());
        assert_eq!(format!("{bytes:?} {text:?}"), "SecretBytes<4>(…) SecretText(…)");
    }

    #[test]
    fn taking_wipes_the_callers_copy() {
        let mut mine = [7; 16];
        let kept = SecretBytes::take(&mut mine);
        assert_eq!((mine, *kept.expose()), ([0; 16], [7; 16]));
    }

    #[test]
    fn equal_means_equal() {
        assert!(SecretText::new("a".into()) == SecretText::new("a".into()));
        assert!(SecretText::new("a".into()) != SecretText::new("ab".into()));
    }
}
