//! A key of the server's own, as the table has it.

use crate::error::Fault;
use kms::{Binding, Kms, WrappedKey};
use secret::SecretBytes;

/// Seals it under the master key, for its name.
pub(crate) async fn sealed(
    kms: &dyn Kms,
    name: &'static str,
    key: &SecretBytes<32>,
) -> Result<(Binding, Vec<u8>), Fault> {
    let binding = Binding::new(crate::store_impl::operator_log(), name);
    let sealed = kms.wrap(&binding, key).await?.to_bytes();
    Ok((binding, sealed))
}

/// Opens it.
pub(crate) async fn opened(
    kms: &dyn Kms,
    binding: &Binding,
    sealed: &[u8],
) -> Result<SecretBytes<32>, Fault> {
    let wrapped = WrappedKey::from_bytes(sealed).map_err(|_| Fault::Damaged("a wrapped key"))?;
    Ok(kms.unwrap(binding, &wrapped).await?)
}
