//! A store is asked with the access that the tenant granted.

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
    let _ = store.record(access, contacts, id).await;
}

fn main() {}
