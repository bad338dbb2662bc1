//! The port to the master key, and the ciphers that everything sealed goes through.
//!
//! A tenant's key is 32 random bytes that rest only wrapped by the master key ([`Kms`]). From it come, by
//! [`derive`], the keys for each purpose; [`aead`] seals single values under them and [`stream`] whole
//! files. There is one cipher, AES-256-GCM, and one key derivation, HKDF-SHA-256.

pub mod aead;
mod derivation;
mod port;
pub mod stream;

pub use derivation::{Purpose, derive, framed};
pub use port::{Binding, Kms, KmsError, MasterKeyId, ParseWrappedKeyError, WrappedKey};
