//! Values of one tenant become one.

use context::{Admission, Private};

async fn case(ours: Admission, theirs: Admission) {
    ours.enter(async |a| {
        theirs
            .enter(async |b| {
                let mine = Private::sent(&a, "mine");
                let _ = Private::sent(&b, "theirs");
                let other = Private::sent(&a, "also mine");
                let _ = mine.zip(other);
            })
            .await;
    })
    .await;
}

fn main() {}
