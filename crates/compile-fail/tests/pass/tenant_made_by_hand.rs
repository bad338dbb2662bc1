//! A tenant is what an admission lets one into.

use context::{Admission, Tenant};

async fn case(ours: Admission) {
    ours.enter(async |tenant| {
        let visit = || tenant.clone();
        let tenant: Tenant<'_> = visit();
        let _ = tenant.id();
    })
    .await;
}

fn main() {}
