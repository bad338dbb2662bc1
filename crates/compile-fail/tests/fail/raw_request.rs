//! A request that is no tenant's leaves.

use context::{Private, Tenant};
use egress::{Egress, OutboundRequest};

async fn case<'t>(egress: &dyn Egress, tenant: &Tenant<'t>, request: OutboundRequest) {
    let _ = Private::sent(tenant, ());
    let _ = egress.send(tenant, request).await;
}

fn main() {}
