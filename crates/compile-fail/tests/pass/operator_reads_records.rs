//! An operator reads what the platform knows of a tenant.

use context::Operator;
use ids::TenantId;
use store::{PlatformStore, RecordQuery, RecordStore};

async fn case(
    store: &dyn RecordStore,
    platform: &dyn PlatformStore,
    operator: &Operator,
    tenant: TenantId,
    query: &RecordQuery,
) {
    let _ = (store, platform, tenant, query);
    let _ = platform.tenant(operator, tenant).await;
}

fn main() {}
