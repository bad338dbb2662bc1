//! A record is read that the access check was not asked about.

use context::{Read, Tenant, on};
use ids::{RecordId, Slug};
use store::RecordStore;

async fn case(store: &dyn RecordStore, tenant: &Tenant<'_>, contacts: &Slug, id: RecordId) {
    let access = tenant;
    let _ = store.record(access, contacts, id).await;
    let _ = tenant.authorize::<Read<on::Record>>();
}

fn main() {}
