//! An agent is looked up without the access check.

use context::{Read, Tenant, on};
use store::{Agent, ObjectStore, Objects};

async fn case(store: &dyn ObjectStore, tenant: &Tenant<'_>) {
    let access = tenant;
    let _ = tenant.authorize::<Read<on::Agent>>();
    let _ = store.get::<Agent>(access, "agt").await;
}

fn main() {}
