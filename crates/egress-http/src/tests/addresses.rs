//! Which addresses are connected to, also after a redirect.

use super::server::{Server, ok};
use super::world::{World, get};
use crate::SystemResolver;
use crate::{HttpEgress, Settings};
use context::Private;
use egress::{AddressPolicy, Closed, Denied, Destination, Egress, EgressError, Host, OutboundRequest};
use env::{Env, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Of the open internet by the registries, and leading nowhere: relays of AMT (RFC 7450).
const PUBLIC: &str = "192.52.193.1";

fn denied(outcome: Result<egress::OutboundResponse, EgressError>) -> Option<Denied> {
    match outcome {
        Err(EgressError::Denied(denied)) => Some(denied),
        _ => None,
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_that_answer_is_used() {
    let server = Server::answering(ok("inside")).await;
    let world = World::allowing(&[]).await;
    world.names.script("rebind.test", &[&[PUBLIC], &["127.0.0.1"]]);
    let request = OutboundRequest {
        timeout: Duration::from_millis(300),
        ..get(&format!("http://{}/", server.at("rebind.test")))
    };
    let outcome = world.send(request).await.err();
    assert!(
        matches!(outcome, Some(EgressError::Connect | EgressError::Timeout { sent: false })),
        "{outcome:?}"
    );
    assert_eq!((world.asked(), server.connections()), (1, 0));

    world.names.script("rebind.test", &[&["127.0.0.1"], &[PUBLIC]]);
    let outcome = world.send(get(&format!("http://{}/", server.at("rebind.test")))).await;
    assert_eq!(denied(outcome), Some(Denied::Address(Closed::Loopback)));
    assert_eq!((world.asked(), server.connections()), (2, 0));
}

#[tokio::test]
async fn one_closed_address_closes_the_name() {
    let server = Server::answering(ok("inside")).await;
    let world = World::allowing(&[]).await;
    let answers: [&[&str]; 6] = [
        &[PUBLIC, "127.0.0.1"],
        &["127.0.0.1", PUBLIC],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
    ];
    for answer in answers {
        world.names.script("half.test", &[answer]);
        let outcome = world.send(get(&format!("http://{}/", server.at("half.test")))).await;
        assert!(matches!(denied(outcome), Some(Denied::Address(_))), "{answer:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn no_spelling_of_loopback_is_a_way_in() {
    let server = Server::answering(ok("inside")).await;
    let world = World::allowing(&[]).await;
    for host in
        ["127.0.0.1", "127.8.8.8", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
    {
        let outcome = world.send(get(&format!("http://{}/", server.at(host)))).await;
        assert!(matches!(denied(outcome), Some(Denied::Address(_))), "{host}");
    }
    for host in ["2130706433", "0x7f000001", "017700000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1"] {
        assert!(Destination::parse(&format!("http://{}/", server.at(host))).is_err(), "{host}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_systems_own_names_are_checked_as_well() {
    let server = Server::answering(ok("inside")).await;
    let world = World::allowing(&[]).await;
    let env = Env::fixed(Timestamp::from_millis(1), 1).0;
    let egress =
        HttpEgress::new(AddressPolicy::default(), Arc::new(SystemResolver), Settings::default(), env)
            .unwrap();
    let url = format!("http://{}/", server.at("localhost"));
    let outcome = world
        .admission(0)
        .enter(async |tenant| egress.send(&tenant, Private::sent(&tenant, get(&url))).await.err())
        .await;
    assert!(matches!(outcome, Some(EgressError::Denied(Denied::Address(Closed::Loopback)))), "{outcome:?}");
}

#[tokio::test]
async fn an_exception_opens_its_host_and_port_and_nothing_else() {
    let open = Server::answering(ok("open")).await;
    let shut = Server::answering(ok("shut")).await;
    let world = World::allowing(&[open.at("crm.internal"), open.at("127.0.0.1")]).await;
    for host in ["crm.internal", "CRM.Internal.", "127.0.0.1"] {
        let answer = world.send(get(&format!("http://{}/", open.at(host)))).await.ok().unwrap();
        assert_eq!(answer.body, b"open");
    }
    let closed =
        [open.at("other.internal"), open.at("x.crm.internal"), shut.at("crm.internal"), shut.at("127.0.0.1")];
    for place in closed.iter().chain([&open.at("[::ffff:127.0.0.1]"), &open.at("127.0.0.2")]) {
        assert!(denied(world.send(get(&format!("http://{place}/"))).await).is_some(), "{place}");
    }
    assert_eq!((open.connections(), shut.connections()), (3, 0));
}

#[tokio::test]
async fn a_name_without_addresses_is_not_resolved() {
    let world = World::allowing(&[]).await;
    world.names.script("none.test", &[&[]]);
    for _ in 0..2 {
        let outcome = world.send(get("http://none.test/")).await.err();
        assert!(matches!(&outcome, Some(error @ EgressError::Resolve) if !error.sent()), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_checked_like_the_first_address() {
    let inside = Server::answering(ok("inside")).await;
    for target in [inside.at("127.0.0.1"), inside.at("[::ffff:127.0.0.1]"), inside.at("inside.test")] {
        let outside = Server::redirecting(302, &format!("http://{target}/")).await;
        let world = World::allowing(&[outside.at("hop.test")]).await;
        let request =
            OutboundRequest { follow_redirects: 3, ..get(&format!("http://{}/", outside.at("hop.test"))) };
        let error = world.send(request).await.err().unwrap();
        let EgressError::AfterRedirect(cause) = &error else { panic!("{error:?}") };
        assert!(matches!(**cause, EgressError::Denied(Denied::Address(Closed::Loopback))));
        assert!(error.sent());
        assert_eq!(outside.connections(), 1);
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_redirected_name_is_resolved_anew_and_once() {
    let target = Server::answering(ok("there")).await;
    let hop = Server::redirecting(301, &format!("http://{}/x?y", target.at("there.test"))).await;
    let world = World::allowing(&[hop.at("hop.test"), target.at("there.test")]).await;
    let request = OutboundRequest { follow_redirects: 1, ..get(&format!("http://{}/", hop.at("hop.test"))) };
    let answer = world.send(request).await.ok().unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"there".as_slice()));
    assert_eq!(answer.url.host(), &Host::parse("there.test").unwrap());
    assert_eq!(world.asked(), 2);
    assert!(target.requests()[0].starts_with("GET /x?y HTTP/1.1\r\n"));
}

#[tokio::test]
async fn redirects_are_followed_only_as_far_as_asked() {
    let circle = Server::redirecting(302, "/again").await;
    let world = World::allowing(&[circle.at("circle.test")]).await;
    let url = format!("http://{}/", circle.at("circle.test"));
    let error = world.send(OutboundRequest { follow_redirects: 2, ..get(&url) }).await.err();
    assert!(matches!(error, Some(EgressError::TooManyRedirects)), "{error:?}");
    assert_eq!(circle.connections(), 3);
    assert_eq!(world.send(get(&url)).await.ok().map(|answer| answer.status), Some(302));
}
