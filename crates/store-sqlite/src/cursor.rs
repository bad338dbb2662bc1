//! Cursors: where a list goes on, sealed under the tenant's key, so that they can hold the last row's
//! values and mean nothing to anyone else.

use crate::error::Fault;
use crate::keys::TenantKeys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use env::Env;
use kms::aead::Cipher;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{KeyPurpose, StoreError};

/// Seals where a list goes on. `list` names the list with everything that its order depends on.
pub(crate) fn seal<T: Serialize>(
    keys: &TenantKeys,
    env: &Env,
    list: &str,
    place: &T,
) -> Result<String, Fault> {
    let plain = serde_json::to_vec(place).map_err(|_| Fault::Damaged("a cursor"))?;
    let sealed = Cipher::new(&keys.derived(KeyPurpose::Cursor)).seal(env, list.as_bytes(), &plain)?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// Opens a cursor of this tenant and this list, and no other.
pub(crate) fn open<T: DeserializeOwned>(keys: &TenantKeys, list: &str, cursor: &str) -> Result<T, Fault> {
    let refused = || Fault::Answer(StoreError::Invalid("The cursor is not one of this list's.".into()));
    let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    let plain = Cipher::new(&keys.derived(KeyPurpose::Cursor))
        .open(list.as_bytes(), &sealed)
        .map_err(|_| refused())?;
    serde_json::from_slice(&plain).map_err(|_| refused())
}
