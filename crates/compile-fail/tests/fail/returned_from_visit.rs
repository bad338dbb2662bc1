//! A private value is the visit's result.

use context::{Admission, Private};

async fn case(ours: Admission) {
    let kept = ours
        .enter(async |tenant| {
            let value = Private::sent(&tenant, String::new());
            value
        })
        .await;
    let _ = kept;
}

fn main() {}
