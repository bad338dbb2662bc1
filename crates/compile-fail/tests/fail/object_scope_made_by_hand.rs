//! The port below the typed calls is asked within a scope that nobody granted.

use context::Tenant;
use store::{ObjectKind, ObjectScope, ObjectStore};

async fn case(store: &dyn ObjectStore, tenant: &Tenant<'_>, given: ObjectScope<'_>) {
    let scope = ObjectScope { tenant: tenant.clone(), kind: ObjectKind::Workflow, only_of: None };
    let _ = store.read_object(scope, "wfl").await;
    let _ = (tenant, ObjectKind::Workflow, &given);
}

fn main() {}
