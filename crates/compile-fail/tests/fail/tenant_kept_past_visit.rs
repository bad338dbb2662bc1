//! The visit's tenant is its result.

use context::Admission;

async fn case(ours: Admission) {
    let kept = ours.enter(async |tenant| tenant).await;
    let _ = kept;
}

fn main() {}
