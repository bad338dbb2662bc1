//! One tenant's request leaves in another's name.

use context::{Private, Tenant};
use egress::{Egress, OutboundRequest};

async fn case<'a, 'b>(
    egress: &dyn Egress,
    ours: &Tenant<'a>,
    theirs: &Tenant<'b>,
    request: Private<'b, OutboundRequest>,
) {
    let _ = egress.send(ours, request).await;
    let _ = theirs.id();
}

fn main() {}
