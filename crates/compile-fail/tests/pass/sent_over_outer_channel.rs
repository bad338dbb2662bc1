//! A plain count is sent outside the visit.

use context::{Admission, Private};
use tokio::sync::mpsc;

async fn case(ours: Admission) {
    let (sender, receiver) = mpsc::unbounded_channel();
    ours.enter(async |tenant| {
        let value = Private::sent(&tenant, "secret");
        let _ = sender.send(u8::from(value.is(|text| text.is_empty())));
    })
    .await;
    drop(receiver);
}

fn main() {}
