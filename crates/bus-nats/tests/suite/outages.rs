//! NATS is stopped, frozen or without JetStream: whoever tells something hears so soon, and whoever listens goes on.

use crate::{Servers, is_deaf, listen_in_the_end, stranger, stream, tell_in_the_end, try_to_tell};
use bus::{Body, Doorbell as _, Topic};
use bus_nats::NatsBell;
use nats_instance::JETSTREAM;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How long nobody waits any more.
const SOON: Duration = Duration::from_millis(2500);

#[test]
fn a_listener_goes_on_after_a_restart_of_nats() {
    Servers::run(async |mut world| {
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        world.count(one, 0..3).await;
        assert_eq!(world.words(one, &mut listener, 1).await, ["0"]);
        world.bus.nats.restart();
        tell_in_the_end(&world, one, "later").await;
        assert_eq!(world.words(one, &mut listener, 3).await, ["1", "2", "later"]);
        world.silent(one, &mut listener).await;
    });
}

#[test]
fn a_listener_that_waits_while_nats_restarts_hears_what_comes_then() {
    Servers::run(async |mut world| {
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        world.count(one, 0..1).await;
        assert_eq!(world.words(one, &mut listener, 1).await, ["0"]);
        world.silent(one, &mut listener).await;
        world.bus.nats.stop();
        world.silent(one, &mut listener).await;
        world.bus.nats.start_again(JETSTREAM);
        tell_in_the_end(&world, one, "first").await;
        tell_in_the_end(&world, one, "second").await;
        assert_eq!(world.words(one, &mut listener, 2).await, ["first", "second"]);
        world.silent(one, &mut listener).await;
    });
}

#[test]
fn a_listener_whose_consumer_is_gone_goes_on() {
    Servers::run(async |world| {
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        world.silent(one, &mut listener).await;
        let nats = stranger(&world.bus.nats).await;
        let of = nats.get_stream(stream(one)).await.unwrap();
        let names: Vec<String> = futures::TryStreamExt::try_collect(of.consumer_names()).await.unwrap();
        assert_eq!(names.len(), 1);
        of.delete_consumer(&names[0]).await.unwrap();
        world.count(one, 0..2).await;
        assert_eq!(world.words(one, &mut listener, 2).await, ["0", "1"]);
    });
}

#[test]
fn without_nats_nobody_waits_long() {
    Servers::run(async |mut world| {
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        world.count(one, 0..1).await;
        let (_, place) = world.word(one, &mut listener).await;
        world.bus.nats.freeze();
        let begun = Instant::now();
        try_to_tell(&world, one, Body::Hint(json!("x"))).await.unwrap_err();
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        world.bus.nats.thaw();
        tell_in_the_end(&world, one, "y").await;
        world.bus.nats.stop();
        // What is told before anybody has seen that the connection is lost may go over the next one.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let begun = Instant::now();
        try_to_tell(&world, one, Body::Hint(json!("z"))).await.unwrap_err();
        assert!(is_deaf(&world, one).await);
        assert!(begun.elapsed() < SOON * 2, "{:?}", begun.elapsed());
        // Nothing that was refused because there was no connection is told later.
        world.bus.nats.start_again(JETSTREAM);
        tell_in_the_end(&world, one, "last").await;
        let mut again = listen_in_the_end(&world, one, Some(place)).await;
        let mut heard = Vec::new();
        while heard.last().is_none_or(|word| word != "last") {
            heard.push(world.word(one, &mut again).await.0);
        }
        assert!(heard.contains(&"y".to_owned()) && !heard.contains(&"z".to_owned()), "{heard:?}");
    });
}

#[test]
fn without_jetstream_nothing_is_told() {
    Servers::run(async |mut world| {
        let one = world.one;
        world.bus.nats.stop();
        world.bus.nats.start_again("");
        stranger(&world.bus.nats).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        try_to_tell(&world, one, Body::Hint(json!("x"))).await.unwrap_err();
        assert!(is_deaf(&world, one).await);
        world.bus.nats.restart();
        tell_in_the_end(&world, one, "y").await;
    });
}

#[test]
fn a_bell_that_was_out_of_reach_rings_for_what_it_may_have_missed() {
    Servers::run(async |mut world| {
        let bell = NatsBell::hang(&crate::conformance::connect(&world.bus.nats).await).await.unwrap();
        let mut ear = bell.listen();
        world.bus.nats.restart();
        let mut heard = Vec::new();
        for _ in Topic::ALL {
            heard.push(tokio::time::timeout(Duration::from_secs(10), ear.rung()).await.unwrap());
        }
        assert!(Topic::ALL.iter().all(|topic| heard.contains(topic)), "{heard:?}");
        world.bus.nats.stop();
        bell.ring(Topic::Work).await;
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), ear.rung()).await, Ok(Topic::Work));
    });
}
