//! Cursors: where a list goes on, sealed under the tenant's key, so that they can hold the last row's
//! values and mean nothing to anyone else.

use crate::Fault;
use crate::keys::WorkingKeys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use env::Env;
use kms::aead::Cipher;
use secret::SecretBytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{KeyPurpose, StoreError};

/// What one tenant's cursors are sealed under.
pub struct CursorKey(SecretBytes<32>);

impl CursorKey {
    /// A key of its own, for tests that feed what opens cursors with anything.
    pub fn new(key: SecretBytes<32>) -> Self {
        Self(key)
    }

    fn of(keys: &WorkingKeys) -> Self {
        Self(keys.derived(KeyPurpose::Cursor))
    }

    /// Seals where a list goes on. `list` names the list with everything that its order depends on.
    pub fn seal<T: Serialize>(&self, env: &Env, list: &str, place: &T) -> Result<String, StoreError> {
        let plain = serde_json::to_vec(place).map_err(|_| Fault::Damaged("a cursor"))?;
        let sealed = Cipher::new(&self.0).seal(env, list.as_bytes(), &plain).map_err(Fault::from)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a cursor of this tenant and this list, and no other: [`StoreError::Invalid`].
    pub fn open<T: DeserializeOwned>(&self, list: &str, cursor: &str) -> Result<T, StoreError> {
        let refused = || StoreError::Invalid("The cursor is not one of this list's.".into());
        let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let plain = Cipher::new(&self.0).open(list.as_bytes(), &sealed).map_err(|_| refused())?;
        serde_json::from_slice(&plain).map_err(|_| refused())
    }
}

/// Seals where a list of this tenant's goes on.
pub fn seal<T: Serialize>(keys: &WorkingKeys, env: &Env, list: &str, place: &T) -> Result<String, Fault> {
    CursorKey::of(keys).seal(env, list, place).map_err(Fault::Answer)
}

/// Opens a cursor of this tenant and this list.
pub fn open<T: DeserializeOwned>(keys: &WorkingKeys, list: &str, cursor: &str) -> Result<T, Fault> {
    CursorKey::of(keys).open(list, cursor).map_err(Fault::Answer)
}
