//! Values of two tenants become one.

use context::{Admission, Private};

async fn case(ours: Admission, theirs: Admission) {
    ours.enter(async |a| {
        theirs
            .enter(async |b| {
                let mine = Private::sent(&a, "mine");
                let other = Private::sent(&b, "theirs");
                let _ = mine.zip(other);
            })
            .await;
    })
    .await;
}

fn main() {}
