//! One tenant's value leaves at another's door.

use context::{Admission, Private, door};

async fn case(ours: Admission, theirs: Admission) {
    ours.enter(async |a| {
        theirs
            .enter(async |b| {
                let value = Private::sent(&a, "mine");
                let _ = door::answer(&b, value);
            })
            .await;
    })
    .await;
}

fn main() {}
