//! A tenant's request leaves in its name.

use context::{Private, Tenant};
use egress::{Egress, OutboundRequest};

async fn case<'a, 'b>(
    egress: &dyn Egress,
    ours: &Tenant<'a>,
    theirs: &Tenant<'b>,
    request: Private<'b, OutboundRequest>,
) {
    let _ = ours.id();
    let _ = egress.send(theirs, request).await;
    let _ = theirs.id();
}

fn main() {}
