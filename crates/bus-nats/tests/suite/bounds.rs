//! How much is kept, and for whom there is room.

use crate::conformance::{Two, connect};
use crate::{Servers, try_to_tell};
use bus::{Body, Bus as _, Heard, Message, Place, Subscription};
use bus_nats::{NatsBus, Settings};
use ids::TenantId;
use metering::plan::Limits;
use nats_instance::NatsServer;
use serde_json::json;
use std::time::Duration;

/// The same two servers with other bounds, on a NATS of their own.
async fn with(world: &mut Servers, settings: Settings, config: &str) {
    let nats = NatsServer::start_with(config, &[]);
    let tells = NatsBus::new(&connect(&nats).await, settings);
    world.bus = Two { tells, hears: NatsBus::new(&connect(&nats).await, settings), nats };
}

async fn message(
    world: &Servers,
    tenant: TenantId,
    listener: &mut Box<dyn Subscription>,
) -> (Place, Message) {
    match world.hear(tenant, listener).await {
        Some(Heard::Message(place, message)) => (place, message),
        heard => panic!("no message: {heard:?}"),
    }
}

#[test]
fn large_messages_are_heard_in_order_and_the_oldest_give_way() {
    Servers::run(async |mut world| {
        with(&mut world, Settings::default(), nats_instance::JETSTREAM).await;
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        let body = |number: u8| Body::Sealed(vec![number; 60 << 10]);
        for number in 0..30 {
            try_to_tell(&world, one, body(number)).await.unwrap();
        }
        // A MiB is kept: 17 of 60 KiB.
        assert_eq!(world.hear(one, &mut listener).await, Some(Heard::Missed));
        for number in 13..30 {
            let (place, message) = message(&world, one, &mut listener).await;
            assert_eq!((place.number, message.body), (u64::from(number) + 1, body(number)));
        }
        world.silent(one, &mut listener).await;
    });
}

#[test]
fn many_messages_are_heard_in_order() {
    Servers::run(async |mut world| {
        with(&mut world, Settings::default(), nats_instance::JETSTREAM).await;
        let one = world.one;
        let mut all = world.listen(one, "app.>", None).await;
        let mut few = world.listen(one, "app.few", None).await;
        for number in 0..300 {
            let subject = if number % 100 == 99 { "app.few" } else { "app.many" };
            world.tell(one, subject, &number.to_string()).await;
        }
        let numbers: Vec<_> = (0..300).map(|number: u32| number.to_string()).collect();
        assert_eq!(world.words(one, &mut all, 300).await, numbers);
        assert_eq!(world.words(one, &mut few, 3).await, ["99", "199", "299"]);
        world.silent(one, &mut few).await;
    });
}

#[test]
fn one_who_falls_behind_while_it_listens_misses_what_is_not_kept() {
    Servers::run(async |world| {
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        world.silent(one, &mut listener).await;
        world.count(one, 0..200).await;
        // What was asked for has come, and what is kept comes after it.
        let asked: Vec<_> = (0..64).map(|number: u32| number.to_string()).collect();
        assert_eq!(world.words(one, &mut listener, 64).await, asked);
        assert_eq!(world.hear(one, &mut listener).await, Some(Heard::Missed));
        let kept: Vec<_> = (192..200).map(|number: u32| number.to_string()).collect();
        assert_eq!(world.words(one, &mut listener, 8).await, kept);
        world.silent(one, &mut listener).await;
    });
}

#[test]
fn what_was_told_long_ago_is_missed() {
    Servers::run(async |mut world| {
        let settings = Settings { kept: Duration::from_millis(500), ..Settings::default() };
        with(&mut world, settings, nats_instance::JETSTREAM).await;
        let mut listener = world.listen(world.one, "app.>", None).await;
        world.count(world.one, 0..2).await;
        let (_, place) = world.word(world.one, &mut listener).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let mut again = world.listen(world.one, "app.>", Some(place)).await;
        assert_eq!(world.hear(world.one, &mut again).await, Some(Heard::Missed));
        world.silent(world.one, &mut again).await;
    });
}

#[test]
fn other_bounds_are_taken_over_and_nothing_is_lost() {
    Servers::run(async |mut world| {
        let one = world.one;
        world.count(one, 0..4).await;
        let mut listener = world.listen(one, "app.>", Some(Place { order: 1, number: 1 })).await;
        assert_eq!(world.hear(one, &mut listener).await, Some(Heard::Missed));
        let (word, place) = world.word(one, &mut listener).await;
        assert_eq!(word, "0");
        let connection = connect(&world.bus.nats).await;
        world.bus.hears = NatsBus::new(&connection, Settings { tenant_messages: 3, ..Settings::default() });
        let mut again = world.listen(one, "app.>", Some(place)).await;
        assert_eq!(world.words(one, &mut again, 3).await, ["1", "2", "3"]);
        world.count(one, 4..5).await;
        let mut again = world.listen(one, "app.>", Some(place)).await;
        assert_eq!(world.hear(one, &mut again).await, Some(Heard::Missed));
        assert_eq!(world.words(one, &mut again, 3).await, ["2", "3", "4"]);
    });
}

#[test]
fn a_tenant_has_the_room_that_it_was_promised_and_no_others() {
    Servers::run(async |mut world| {
        let room = "jetstream: { store_dir: \"store\", max_file_store: 3500000 }\n";
        with(&mut world, Settings::default(), room).await;
        let tenants: Vec<_> = (0..4).map(|_| world.fixture.tenant(Limits::default())).collect();
        let large = || Body::Sealed(vec![7; 60 << 10]);
        for tenant in &tenants[..3] {
            for _ in 0..25 {
                try_to_tell(&world, *tenant, large()).await.unwrap();
            }
        }
        // There is no promise left for the last one, and what the others were promised stays theirs.
        try_to_tell(&world, tenants[3], Body::Hint(json!("x"))).await.unwrap_err();
        for tenant in &tenants[..3] {
            try_to_tell(&world, *tenant, large()).await.unwrap();
        }
        world.bus.forget(&world.operator, tenants[0]).await;
        try_to_tell(&world, tenants[3], large()).await.unwrap();
    });
}
