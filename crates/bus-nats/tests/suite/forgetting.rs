//! What is forgotten is gone from NATS, now or as soon as NATS can be asked to.

use crate::{Servers, listen_in_the_end, stranger, stream, tell_in_the_end, try_to_tell};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use bus::{Body, Bus as _, Heard};
use ids::TenantId;
use nats_instance::{JETSTREAM, NatsServer};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Whether NATS has a stream of the tenant's.
async fn is_kept(nats: &NatsServer, tenant: TenantId) -> bool {
    match stranger(nats).await.get_stream(stream(tenant)).await {
        Ok(_) => true,
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                false
            }
            kind => panic!("{kind}"),
        },
    }
}

async fn is_gone_in_the_end(nats: &NatsServer, tenant: TenantId) -> bool {
    for _ in 0..200 {
        if !is_kept(nats, tenant).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    false
}

/// How often a text stands in the files and in the names of a folder.
fn found(folder: &Path, text: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        count += usize::from(path.to_string_lossy().contains(text));
        if path.is_dir() {
            count += found(&path, text);
        } else {
            let content = std::fs::read(&path).unwrap_or_default();
            count += content.windows(text.len()).filter(|part| *part == text.as_bytes()).count();
        }
    }
    count
}

#[test]
fn nothing_of_a_tenant_stays_on_the_disk() {
    Servers::run(async |world| {
        let (one, two) = (world.one, world.two);
        for tenant in [one, two] {
            world.tell(tenant, "app.word", &format!("word-of-{tenant}")).await;
        }
        let store = world.bus.nats.folder().join("store");
        assert!(found(&store, &format!("word-of-{one}")) > 0 && found(&store, &stream(one)) > 0);
        world.bus.forget(&world.operator, one).await;
        let ulid = one.to_string().strip_prefix("ten_").unwrap().to_owned();
        // NATS moves the folder away before it empties it.
        let mut left = found(&store, &ulid);
        for _ in 0..100 {
            if left == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = found(&store, &ulid);
        }
        assert_eq!(left, 0);
        assert!(found(&store, &format!("word-of-{two}")) > 0);
        assert!(is_kept(&world.bus.nats, two).await);
        // To forget what is not kept is nothing to worry about.
        world.bus.forget(&world.operator, one).await;
    });
}

#[test]
fn whoever_waits_hears_at_once_that_there_is_nothing_more() {
    Servers::run(async |world| {
        let mut listener = world.listen(world.one, "app.>", None).await;
        world.silent(world.one, &mut listener).await;
        let (heard, ()) =
            tokio::join!(world.hear(world.one, &mut listener), world.bus.forget(&world.operator, world.one));
        assert_eq!(heard, None);
    });
}

#[test]
fn what_could_not_be_forgotten_is_forgotten_later() {
    for without in [None, Some("")] {
        Servers::run(async |mut world| {
            let one = world.one;
            let mut listener = world.listen(one, "app.>", None).await;
            world.count(one, 0..2).await;
            world.count(world.two, 0..1).await;
            world.bus.nats.stop();
            if let Some(config) = without {
                // Whoever asks is told that nobody answers, as where there is no stream.
                world.bus.nats.start_again(config);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            world.bus.forget(&world.operator, one).await;
            world.bus.nats.stop();
            world.bus.nats.start_again(JETSTREAM);
            assert!(is_gone_in_the_end(&world.bus.nats, one).await);
            assert!(is_kept(&world.bus.nats, world.two).await);
            assert_eq!(world.hear(one, &mut listener).await, None);
        });
    }
}

#[test]
fn nothing_is_told_or_heard_before_what_was_to_be_forgotten_is() {
    Servers::run(async |mut world| {
        let (one, two) = (world.one, world.two);
        world.count(one, 0..1).await;
        // NATS is there and removes nothing.
        world.bus.nats.stop();
        let denied = "authorization: { users: [ { user: a, password: b, permissions: { publish: \
                      { deny: \"$JS.API.STREAM.DELETE.>\" } } } ] }\nno_auth_user: a\n";
        world.bus.nats.start_again(&format!("{JETSTREAM}{denied}"));
        tell_in_the_end(&world, two, "x").await;
        world.bus.forget(&world.operator, one).await;
        try_to_tell(&world, one, Body::Hint(json!("y"))).await.unwrap_err();
        let visit = world.fixture.owner(one).await;
        let pattern = "app.>".parse().unwrap();
        let heard =
            visit.enter(async |tenant| world.bus.tells.subscribe(&tenant, pattern, None).await.is_ok());
        assert!(!heard.await);
        tell_in_the_end(&world, two, "z").await;
        world.bus.nats.restart();
        assert!(is_gone_in_the_end(&world.bus.nats, one).await);
    });
}

#[test]
fn what_is_told_after_it_was_to_be_forgotten_is_not_forgotten_with_it() {
    Servers::run(async |mut world| {
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        world.count(one, 0..2).await;
        let (_, place) = world.word(one, &mut listener).await;
        world.bus.nats.stop();
        world.bus.forget(&world.operator, one).await;
        world.bus.nats.start_again(JETSTREAM);
        tell_in_the_end(&world, one, "anew").await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let mut again = listen_in_the_end(&world, one, Some(place)).await;
        assert_eq!(world.hear(one, &mut again).await, Some(Heard::Missed));
        assert_eq!(world.words(one, &mut again, 1).await, ["anew"]);
    });
}
