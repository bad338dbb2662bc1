//! Whether access was granted is the visit's result.

use context::{Admission, Read, on};

async fn case(ours: Admission) {
    let kept = ours.enter(async |tenant| tenant.authorize::<Read<on::Record>>().is_ok()).await;
    let _ = kept;
}

fn main() {}
