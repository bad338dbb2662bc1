//! A request that the visit's principal sent leaves.

use context::{Private, Tenant};
use egress::{Egress, OutboundRequest};

async fn case<'t>(egress: &dyn Egress, tenant: &Tenant<'t>, request: OutboundRequest) {
    let _ = Private::sent(tenant, ());
    let _ = egress.send(tenant, Private::sent(tenant, request)).await;
}

fn main() {}
