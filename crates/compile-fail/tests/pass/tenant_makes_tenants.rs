//! An operator calls what only operators may.

use context::{Operator, Tenant};
use store::{NewTenant, PlatformStore};

async fn case(platform: &dyn PlatformStore, tenant: &Tenant<'_>, operator: &Operator, new: NewTenant) {
    let _ = (tenant, operator);
    let _ = platform.create_tenant(operator, new).await;
}

fn main() {}
