//! A record is read after the access check.

use context::{Read, Tenant, on};
use ids::{RecordId, Slug};
use store::RecordStore;

async fn case(store: &dyn RecordStore, tenant: &Tenant<'_>, contacts: &Slug, id: RecordId) {
    let Ok(access) = &tenant.authorize::<Read<on::Record>>() else { return };
    let _ = store.record(access, contacts, id).await;
    let _ = tenant.authorize::<Read<on::Record>>();
}

fn main() {}
