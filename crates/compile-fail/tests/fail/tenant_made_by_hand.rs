//! A tenant is written down.

use context::{Admission, Tenant};

async fn case(ours: Admission) {
    ours.enter(async |tenant| {
        let visit = || tenant.clone();
        let tenant = Tenant { visit: visit(), brand: Default::default() };
        let _ = tenant.id();
    })
    .await;
}

fn main() {}
