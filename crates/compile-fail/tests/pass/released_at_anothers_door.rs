//! A value leaves at its tenant's door.

use context::{Admission, Private, door};

async fn case(ours: Admission, theirs: Admission) {
    ours.enter(async |a| {
        theirs
            .enter(async |b| {
                let value = Private::sent(&a, "mine");
                let _ = b.id();
                let _ = door::answer(&a, value);
            })
            .await;
    })
    .await;
}

fn main() {}
