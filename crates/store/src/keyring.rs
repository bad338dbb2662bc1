//! Keys derived from the tenant's own, each for one purpose.

use crate::StoreError;
use async_trait::async_trait;
use context::Tenant;
use secret::SecretBytes;

/// What a derived key is for. Two purposes never share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Sealing credentials in the vault.
    Vault,
    /// Sealing cursors.
    Cursor,
    /// Keyed hashes of cache entries.
    Cache,
    /// Sealing messages on their way.
    Message,
}

impl KeyPurpose {
    /// The purpose's name, as it enters the derivation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Cursor => "cursor",
            Self::Cache => "cache",
            Self::Message => "message",
        }
    }
}

/// Derives keys from the tenant's.
#[async_trait]
pub trait TenantKeyring: Send + Sync {
    /// The tenant's key for this purpose.
    async fn key(&self, tenant: &Tenant<'_>, purpose: KeyPurpose) -> Result<SecretBytes<32>, StoreError>;
}
