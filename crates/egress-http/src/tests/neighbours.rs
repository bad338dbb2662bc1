//! What one tenant's slow and failing hosts take from another: nothing.

use super::server::{Server, ok, read_request};
use super::world::{World, get};
use crate::{BreakerSettings, HttpEgress, Resolve, ResolveFailed, Settings};
use async_trait::async_trait;
use context::Private;
use egress::{AddressPolicy, Egress, EgressError, OutboundRequest};
use env::{Env, Timestamp};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

#[tokio::test]
async fn a_tenant_with_slow_hosts_fills_its_own_places_alone() {
    let slow = Server::running(|mut stream, _| async move {
        read_request(&mut stream).await;
        std::future::pending().await
    })
    .await;
    let quick = Server::answering(ok("")).await;
    let settings = Settings { calls: 3, calls_per_tenant: 2, ..Settings::default() };
    let world = World::with(&[slow.at("slow.test"), quick.at("quick.test")], settings).await;
    let slowly = || {
        let request = get(&format!("http://{}/", slow.at("slow.test")));
        world.send_as(0, OutboundRequest { timeout: Duration::from_millis(400), ..request })
    };
    let within = |tenant, millis| {
        let request = get(&format!("http://{}/", quick.at("quick.test")));
        world.send_as(tenant, OutboundRequest { timeout: Duration::from_millis(millis), ..request })
    };
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (hurried, others) = (within(0, 100).await.err(), within(1, 10_000).await.is_ok());
        // Who has time gets a place as soon as there is one.
        (hurried, others, within(0, 10_000).await)
    };
    let (_, _, (hurried, others, patient)) = tokio::join!(slowly(), slowly(), meanwhile);
    assert!(matches!(&hurried, Some(error @ EgressError::Busy) if !error.sent()), "{hurried:?}");
    assert!(others && patient.is_ok());
}

#[tokio::test]
async fn a_failing_host_is_left_alone_by_the_tenant_that_it_failed() {
    let failing = Server::answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
    let breaker = BreakerSettings { failures: 3, ..BreakerSettings::default() };
    let world = World::with(&[failing.at("a.test")], Settings { breaker, ..Settings::default() }).await;
    let ask = |tenant| world.send_as(tenant, get(&format!("http://{}/", failing.at("a.test"))));
    for _ in 0..3 {
        assert_eq!(ask(0).await.ok().map(|answer| answer.status), Some(503));
    }
    let error = ask(0).await.err();
    assert!(matches!(&error, Some(error @ EgressError::CircuitOpen { .. }) if !error.sent()), "{error:?}");
    assert_eq!(failing.connections(), 3);
    assert!(ask(1).await.is_ok());
}

#[tokio::test]
async fn what_is_the_requests_own_fault_opens_no_circuit() {
    let server = Server::answering("HTTP/1.1 400 Bad\r\ncontent-length: 5\r\n\r\nabcde").await;
    let breaker = BreakerSettings { failures: 1, ..BreakerSettings::default() };
    let world = World::with(&[server.at("a.test")], Settings { breaker, ..Settings::default() }).await;
    let request = || get(&format!("http://{}/", server.at("a.test")));
    assert!(world.send(request()).await.is_ok());
    assert!(world.send(OutboundRequest { max_response_bytes: 1, ..request() }).await.is_err());
    assert!(world.send(request()).await.is_ok());
}

/// A resolver that answers when it is told to, whether or not anyone still waits.
#[derive(Default)]
struct Stuck(Notify);

#[async_trait]
impl Resolve for Stuck {
    async fn resolve(&self, _: &str) -> Result<Vec<IpAddr>, ResolveFailed> {
        self.0.notified().await;
        Err(ResolveFailed)
    }
}

#[tokio::test]
async fn a_look_up_that_nobody_waits_for_still_holds_its_place() {
    let world = World::allowing(&[]).await;
    let stuck = Arc::new(Stuck::default());
    let settings = Settings { calls_per_tenant: 1, ..Settings::default() };
    let env = Env::fixed(Timestamp::from_millis(1), 1).0;
    let egress = HttpEgress::new(AddressPolicy::default(), stuck.clone(), settings, env).unwrap();
    let ask = async |tenant: context::Tenant<'_>| {
        let request = OutboundRequest { timeout: Duration::from_millis(50), ..get("http://a.test/") };
        egress.send(&tenant, Private::sent(&tenant, request)).await.err()
    };
    let first = world.admission(0).enter(ask).await;
    assert!(matches!(first, Some(EgressError::Timeout { sent: false })), "{first:?}");
    let second = world.admission(0).enter(ask).await;
    assert!(matches!(second, Some(EgressError::Busy)), "{second:?}");
    stuck.0.notify_one();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let third = world.admission(0).enter(ask).await;
    assert!(matches!(third, Some(EgressError::Timeout { sent: false })), "{third:?}");
}

#[tokio::test]
async fn nobody_works_longer_than_the_caller_waits() {
    let silent = Server::silent().await;
    for wait in [-1, 0, 100] {
        let world = World::until(&[silent.at("a.test")], Settings::default(), Some(wait)).await;
        let begun = tokio::time::Instant::now();
        let request = get(&format!("http://{}/", silent.at("a.test")));
        let error = world.send(OutboundRequest { timeout: Duration::from_secs(60), ..request }).await.err();
        assert!(matches!(error, Some(EgressError::Timeout { sent }) if sent == (wait > 0)), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!(world.asked(), usize::from(wait > 0));
    }
}
