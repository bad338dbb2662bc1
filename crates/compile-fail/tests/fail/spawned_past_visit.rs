//! A task that outlives the visit takes a private value along.

use context::{Admission, Private};

async fn case(ours: Admission) {
    ours.enter(async |tenant| {
        let value = Private::sent(&tenant, "secret");
        tokio::spawn(async move { value.is(|text| text.is_empty()) });
    })
    .await;
}

fn main() {}
