//! A private value is put into a list inside the visit.

use context::{Admission, Private};

async fn case(ours: Admission) {
    ours.enter(async |tenant| {
        let mut kept = vec![];
        kept.extend([Private::sent(&tenant, "secret")]);
    })
    .await;
}

fn main() {}
