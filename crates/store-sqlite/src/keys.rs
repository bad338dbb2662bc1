//! What the embedded backend uses a tenant's keys for.

use crate::error::Fault;
use ids::{Slug, TenantId};
use kms::{Kms, Purpose};

pub(crate) use store_core::keys::{FIRST_EPOCH, LogAge, NamedKey, TenantKeys, WrappedKeys};

/// The key of the tenant's file.
pub(crate) const FILE: Purpose = Purpose::new("tenant file");
/// Keys of journal entries.
pub(crate) const JOURNAL: Purpose = Purpose::new("node journal");

/// Unwraps a tenant's keys, with the key of its file among them.
pub(crate) async fn unwrap(
    kms: &dyn Kms,
    tenant: TenantId,
    region: &Slug,
    log: LogAge,
    wrapped: &WrappedKeys,
) -> Result<TenantKeys, Fault> {
    Ok(TenantKeys::unwrap(kms, tenant, region, log, wrapped, &FILE).await?)
}
