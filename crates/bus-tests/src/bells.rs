//! The doorbell, from two servers.

use bus::{Doorbell, Ear, Topic};
use std::time::Duration;

/// How long it may take until a ring is heard.
const SOON: Duration = Duration::from_secs(5);
/// How long nothing must be heard for it to be nothing.
const SILENCE: Duration = Duration::from_millis(100);

/// A doorbell under test.
pub trait Bells: 'static {
    type Bell: Doorbell;

    /// The same bell, as two servers have it.
    fn hang() -> impl Future<Output = (Self::Bell, Self::Bell)>;
}

/// Runs a case with a bell.
pub fn run<B: Bells>(case: impl AsyncFnOnce(B::Bell, B::Bell)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let (one, two) = B::hang().await;
        case(one, two).await;
    });
}

async fn rung(ear: &mut Box<dyn Ear>) -> Topic {
    tokio::time::timeout(SOON, ear.rung()).await.expect("a ring is heard")
}

async fn silent(ear: &mut Box<dyn Ear>) {
    assert!(tokio::time::timeout(SILENCE, ear.rung()).await.is_err(), "a ring is heard");
}

pub async fn a_ring_is_heard_at_every_server(one: impl Doorbell, two: impl Doorbell) {
    let mut ears = [one.listen(), one.listen(), two.listen()];
    for topic in Topic::ALL {
        one.ring(topic).await;
        for ear in &mut ears {
            assert_eq!(rung(ear).await, topic);
        }
    }
    for ear in &mut ears {
        silent(ear).await;
    }
}

pub async fn rings_of_a_topic_fall_together(one: impl Doorbell, two: impl Doorbell) {
    let mut ear = two.listen();
    silent(&mut ear).await;
    for _ in 0..50 {
        one.ring(Topic::Work).await;
    }
    one.ring(Topic::Changed).await;
    // They come in the order in which they were rung, so that with the last one all have come.
    let mut later = two.listen();
    let mut heard = vec![rung(&mut ear).await];
    while !heard.contains(&Topic::Changed) {
        heard.push(rung(&mut ear).await);
    }
    while let Ok(topic) = tokio::time::timeout(SILENCE, ear.rung()).await {
        heard.push(topic);
    }
    assert!(heard.contains(&Topic::Work) && heard.len() < 50, "{heard:?}");
    two.ring(Topic::Work).await;
    assert_eq!(rung(&mut ear).await, Topic::Work);
    assert!(tokio::time::timeout(SOON, later.rung()).await.is_ok());
}

pub async fn a_topic_drowns_out_no_other(one: impl Doorbell, two: impl Doorbell) {
    let mut ear = two.listen();
    one.ring(Topic::Changed).await;
    let mut heard = Vec::new();
    for _ in 0..20 {
        one.ring(Topic::Work).await;
        heard.push(rung(&mut ear).await);
    }
    assert!(heard.contains(&Topic::Changed), "{heard:?}");
}
