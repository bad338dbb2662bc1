//! A private value is sent to whoever listens outside the visit.

use context::{Admission, Private};
use tokio::sync::mpsc;

async fn case(ours: Admission) {
    let (sender, receiver) = mpsc::unbounded_channel();
    ours.enter(async |tenant| {
        let value = Private::sent(&tenant, "secret");
        let _ = sender.send(value);
    })
    .await;
    drop(receiver);
}

fn main() {}
