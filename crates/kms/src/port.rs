//! The port: who holds the master key wraps and unwraps the keys of tenants, and derives its own.

use crate::derivation::{Purpose, framed};
use async_trait::async_trait;
use ids::{Id, TenantId};
use secret::SecretBytes;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Which master key wrapped a key: eight bytes that an adapter computes from the key, or from its name and
/// version where the key never leaves its device. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterKeyId([u8; 8]);

impl MasterKeyId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for MasterKeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for MasterKeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Whose key it is and which: a wrapped key opens only for the tenant and the name it was wrapped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The tenant whose data the key encrypts.
    pub tenant: TenantId,
    /// Which of the tenant's keys it is, and of those that it has had under that name: `data 2`.
    pub key: Cow<'static, str>,
}

impl Binding {
    /// The binding of this tenant's key of this name.
    pub fn new(tenant: TenantId, key: impl Into<Cow<'static, str>>) -> Self {
        Self { tenant, key: key.into() }
    }

    /// The associated data to wrap under: tenant, name and master key.
    pub fn associated_data(&self, master: MasterKeyId) -> Vec<u8> {
        framed("tenantry wrap v1", &[&self.tenant.to_bytes(), self.key.as_bytes(), &master.0])
    }
}

/// A tenant's key under a master key, as the platform store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The master key that unwraps it.
    pub master: MasterKeyId,
    /// What that master key's holder made of it; only the holder can read it.
    pub sealed: Vec<u8>,
}

/// The bytes are not a wrapped key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a wrapped key of a known format")]
pub struct ParseWrappedKeyError;

const FORMAT: u8 = 1;
/// More than any known service makes of 32 bytes.
const MAX_SEALED: usize = 4096;

impl WrappedKey {
    /// One byte of format, eight of the master key's id, then the sealed key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 8 + self.sealed.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.master.0);
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    /// Reads what [`WrappedKey::to_bytes`] wrote. Whether it is authentic shows when it is unwrapped.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseWrappedKeyError> {
        let (format, rest) = bytes.split_first().ok_or(ParseWrappedKeyError)?;
        let (master, sealed) = rest.split_first_chunk().ok_or(ParseWrappedKeyError)?;
        if *format != FORMAT || sealed.is_empty() || sealed.len() > MAX_SEALED {
            return Err(ParseWrappedKeyError);
        }
        Ok(Self { master: MasterKeyId(*master), sealed: sealed.to_vec() })
    }
}

/// Why a key was not wrapped, unwrapped or derived.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// The wrapped key was altered, or is another tenant's, or another key's.
    #[error("the wrapped key is not authentic for this tenant and key")]
    NotAuthentic,
    /// It is under a master key that is not at hand.
    #[error("the master key {0} is not at hand")]
    UnknownMasterKey(MasterKeyId),
    /// The holder of the master key does not answer. A retry may succeed.
    #[error("the key service does not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The holder of the master key answers, and refuses.
    #[error("the key service refuses")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

/// The holder of the master key: a file, a key service, a hardware module.
#[async_trait]
pub trait Kms: Send + Sync {
    /// The master key that [`Kms::wrap`] uses.
    fn master_key_id(&self) -> MasterKeyId;

    /// The master key before it, while keys are moved from the one to the other.
    fn previous_master_key_id(&self) -> Option<MasterKeyId>;

    /// Wraps a tenant's key under the present master key.
    async fn wrap(&self, binding: &Binding, key: &SecretBytes<32>) -> Result<WrappedKey, KmsError>;

    /// Unwraps a tenant's key, under the present or the previous master key.
    async fn unwrap(&self, binding: &Binding, wrapped: &WrappedKey) -> Result<SecretBytes<32>, KmsError>;

    /// The key that follows from the named master key for a purpose of the platform's own, such as its
    /// store. A service that does not give keys out computes a MAC over the purpose.
    async fn derive(&self, master: MasterKeyId, purpose: &Purpose) -> Result<SecretBytes<32>, KmsError>;
}

#[cfg(test)]
mod tests {
    use super::{Binding, MasterKeyId, WrappedKey};
    use ids::{Id, TenantId};
    use proptest::prelude::*;

    #[test]
    fn everything_in_a_binding_counts() {
        let tenant = |seed| TenantId::from_parts(1, [seed; 10]);
        let master = |seed| MasterKeyId::from_bytes([seed; 8]);
        let all = [
            Binding::new(tenant(1), "data").associated_data(master(1)),
            Binding::new(tenant(2), "data").associated_data(master(1)),
            Binding::new(tenant(1), "data 2").associated_data(master(1)),
            Binding::new(tenant(1), "data").associated_data(master(2)),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(at));
        }
    }

    #[test]
    fn other_formats_and_lengths_are_no_wrapped_keys() {
        let good = WrappedKey { master: MasterKeyId::from_bytes([3; 8]), sealed: vec![9; 60] }.to_bytes();
        assert_eq!(good.len(), 69);
        for bytes in [&[][..], &good[..1], &good[..9], &[&[2], &good[1..]].concat(), &[1; 5000]] {
            assert!(WrappedKey::from_bytes(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn bytes_round_trip(master: [u8; 8], sealed in proptest::collection::vec(any::<u8>(), 1..200)) {
            let wrapped = WrappedKey { master: MasterKeyId::from_bytes(master), sealed };
            prop_assert_eq!(WrappedKey::from_bytes(&wrapped.to_bytes()), Ok(wrapped));
        }
    }
}
