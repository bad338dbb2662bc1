//! The port below the typed calls is asked with what a typed call was given.

use context::Tenant;
use store::{ObjectKind, ObjectScope, ObjectStore};

async fn case(store: &dyn ObjectStore, tenant: &Tenant<'_>, given: ObjectScope<'_>) {
    let scope = given;
    let _ = store.read_object(scope, "wfl").await;
    let _ = (tenant, ObjectKind::Workflow);
}

fn main() {}
