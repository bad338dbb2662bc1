//! A store is asked with a tenant's id.

use context::{Access, Read, on};
use ids::{RecordId, Slug, TenantId};
use store::RecordStore;

async fn case<'t>(
    store: &dyn RecordStore,
    tenant: TenantId,
    access: &Access<'t, Read<on::Record>>,
    contacts: &Slug,
    id: RecordId,
) {
    let _ = (access, tenant);
    let _ = store.record(&tenant, contacts, id).await;
}

fn main() {}
