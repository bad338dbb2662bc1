//! What is no tenant's content is the visit's result.

use context::{Admission, Private};

async fn case(ours: Admission) {
    let kept = ours
        .enter(async |tenant| {
            let value = Private::sent(&tenant, String::new());
            value.is(String::is_empty)
        })
        .await;
    let _ = kept;
}

fn main() {}
