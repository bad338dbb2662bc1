//! A private value is put into a list outside the visit.

use context::{Admission, Private};

async fn case(ours: Admission) {
    let mut kept = vec![];
    ours.enter(async |tenant| {
        kept.extend([Private::sent(&tenant, "secret")]);
    })
    .await;
}

fn main() {}
