//! The access that a visit was granted is its result.

use context::{Admission, Read, on};

async fn case(ours: Admission) {
    let kept = ours.enter(async |tenant| tenant.authorize::<Read<on::Record>>()).await;
    let _ = kept;
}

fn main() {}
