//! An agent is looked up with the access check.

use context::{Read, Tenant, on};
use store::{Agent, ObjectStore, Objects};

async fn case(store: &dyn ObjectStore, tenant: &Tenant<'_>) {
    let Ok(access) = &tenant.authorize::<Read<on::Agent>>() else { return };
    let _ = store.get::<Agent>(access, "agt").await;
}

fn main() {}
