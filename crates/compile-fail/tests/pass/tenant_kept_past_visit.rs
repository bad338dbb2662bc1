//! The tenant's id is the visit's result.

use context::Admission;

async fn case(ours: Admission) {
    let kept = ours.enter(async |tenant| tenant.id()).await;
    let _ = kept;
}

fn main() {}
