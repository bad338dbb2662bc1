//! An audit event is appended to the visit's own log.

use context::Tenant;
use ids::TenantId;
use store::AuditTrail;

async fn case(store: &dyn AuditTrail, id: TenantId, tenant: &Tenant<'_>) {
    let _ = (id, tenant);
    let _ = store.append_events(tenant, Vec::new()).await;
}

fn main() {}
