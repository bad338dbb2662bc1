//! Values of one tenant go into one list.

use context::{Admission, Private};

async fn case(ours: Admission, theirs: Admission) {
    ours.enter(async |a| {
        theirs
            .enter(async |b| {
                let values = [Private::sent(&b, 1), Private::sent(&b, 2)];
                let _ = Private::collect(&b, values);
                drop(a.clone());
            })
            .await;
    })
    .await;
}

fn main() {}
