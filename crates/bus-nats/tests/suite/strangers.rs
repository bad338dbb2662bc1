//! Others in the same account: what is theirs is not read, and what they put among a tenant's is stopped.

use crate::{Servers, is_deaf, stranger, stream, try_to_tell};
use async_nats::HeaderMap;
use async_nats::jetstream::stream::Config;
use bus::Body;
use context::door;
use ids::TenantId;
use serde_json::json;
use std::time::Duration;

/// The headers of a message as our servers tell it.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Tenantry-Id", "msg_01K5V2GWV2040G2081040G2081");
    headers.insert("Tenantry-At", "1790000000000");
    headers.insert("Tenantry-Body", "hint");
    headers
}

fn all(tenant: TenantId) -> String {
    format!("tenant.{tenant}.>")
}

#[test]
fn a_stream_of_others_takes_no_tenants_messages() {
    Servers::run(async |world| {
        let nats = stranger(&world.bus.nats).await;
        let greedy = Config { name: "ALL".into(), subjects: vec!["tenant.>".into()], ..Config::default() };
        nats.create_stream(greedy).await.unwrap();
        try_to_tell(&world, world.one, Body::Hint(json!("x"))).await.unwrap_err();
        assert!(is_deaf(&world, world.one).await);
    });
}

#[test]
fn a_stream_that_takes_in_another_tenants_messages_is_not_read() {
    Servers::run(async |world| {
        let nats = stranger(&world.bus.nats).await;
        let (one, two) = (world.one, world.two);
        let both = vec![all(one), all(two)];
        nats.create_stream(Config { name: stream(one), subjects: both, ..Config::default() }).await.unwrap();
        try_to_tell(&world, two, Body::Hint(json!("x"))).await.unwrap_err();
        assert!(is_deaf(&world, one).await);
    });
}

#[test]
fn another_tenants_message_among_a_tenants_is_stopped_at_the_door() {
    Servers::run(async |world| {
        let (one, two) = (world.one, world.two);
        let mut listener = world.listen(one, "app.>", None).await;
        world.silent(one, &mut listener).await;
        let nats = stranger(&world.bus.nats).await;
        let both = vec![all(one), all(two)];
        nats.update_stream(Config { name: stream(one), subjects: both, ..Config::default() }).await.unwrap();
        let subject = format!("tenant.{two}.app.word");
        let visit = world.fixture.owner(one).await;
        let heard = visit.enter(async |tenant| {
            let heard = listener.next(&tenant).await?;
            Some(door::answer(&tenant, heard))
        });
        let sending = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let sent = nats.publish_with_headers(subject, headers(), "\"bert\"".into()).await.unwrap();
            assert_eq!(sent.await.unwrap().stream, stream(one));
        };
        let (heard, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), heard), sending);
        assert!(heard.unwrap().is_some_and(|heard| heard.is_err()));
    });
}

#[test]
fn a_message_that_waited_is_not_heard_where_the_stream_is_not_the_tenants_alone_any_more() {
    Servers::run(async |world| {
        let (one, two) = (world.one, world.two);
        let mut listener = world.listen(one, "app.>", None).await;
        world.silent(one, &mut listener).await;
        let nats = stranger(&world.bus.nats).await;
        let both = vec![all(one), all(two)];
        nats.update_stream(Config { name: stream(one), subjects: both, ..Config::default() }).await.unwrap();
        let subject = format!("tenant.{two}.app.word");
        nats.publish_with_headers(subject, headers(), "1".into()).await.unwrap().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.silent(one, &mut listener).await;
    });
}

#[test]
fn what_no_server_told_is_passed_over() {
    Servers::run(async |world| {
        let one = world.one;
        let mut listener = world.listen(one, "app.>", None).await;
        let nats = stranger(&world.bus.nats).await;
        let subject = |name: &str| format!("tenant.{one}.{name}");
        nats.publish(subject("app.word"), "\"bare\"".into()).await.unwrap().await.unwrap();
        nats.publish_with_headers(subject("app.word"), headers(), "{".into()).await.unwrap().await.unwrap();
        nats.publish_with_headers(subject("word"), headers(), "1".into()).await.unwrap().await.unwrap();
        nats.publish_with_headers(subject("app.word"), headers(), "\"whole\"".into())
            .await
            .unwrap()
            .await
            .unwrap();
        world.count(one, 0..1).await;
        // The last of them is as a server tells it.
        assert_eq!(world.words(one, &mut listener, 2).await, ["whole", "0"]);
        // What stands under no stream's subjects is kept nowhere.
        nats.publish("tenant.other.app.word", "1".into()).await.unwrap().await.unwrap_err();
    });
}
