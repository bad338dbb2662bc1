//! An operator reads a tenant's records.

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
    let _ = store.records(operator, query).await;
}

fn main() {}
