//! Messages over NATS pass the suite, over one connection and over two, and hold where NATS does not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test has failed it")]

mod bounds;
mod conformance;
mod forgetting;
mod links;
mod outages;
mod strangers;

use async_nats::jetstream::{self, Context};
use bus::{Body, Bus as _, BusUnavailable, Message, Place, Subscription};
use bus_tests::World;
use conformance::TwoConnections;
use ids::TenantId;
use nats_instance::NatsServer;
use serde_json::json;
use std::time::Duration;

/// A NATS server, and two servers of ours that are connected to it.
pub(crate) type Servers = World<TwoConnections>;

/// Tries to tell a message.
pub(crate) async fn try_to_tell(world: &Servers, tenant: TenantId, body: Body) -> Result<(), BusUnavailable> {
    let env = world.fixture.env();
    let message = Message { id: env.id(), subject: "app.word".parse().unwrap(), at: env.now(), body };
    let visit = world.fixture.owner(tenant).await;
    visit.enter(async |tenant| world.bus.publish(&tenant, message).await).await
}

/// Tells a word as soon as NATS can be reached.
pub(crate) async fn tell_in_the_end(world: &Servers, tenant: TenantId, word: &str) {
    for _ in 0..200 {
        if try_to_tell(world, tenant, Body::Hint(json!(word))).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("NATS does not come back");
}

/// Listens as soon as NATS can be reached.
pub(crate) async fn listen_in_the_end(
    world: &Servers,
    tenant: TenantId,
    after: Option<Place>,
) -> Box<dyn Subscription> {
    for _ in 0..200 {
        let visit = world.fixture.owner(tenant).await;
        let pattern = "app.>".parse().unwrap();
        let heard = visit.enter(async |tenant| world.bus.subscribe(&tenant, pattern, after).await);
        if let Ok(listener) = heard.await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("NATS does not come back");
}

/// Whether nobody can listen now.
pub(crate) async fn is_deaf(world: &Servers, tenant: TenantId) -> bool {
    let visit = world.fixture.owner(tenant).await;
    let pattern = "app.>".parse().unwrap();
    visit.enter(async |tenant| world.bus.subscribe(&tenant, pattern, None).await.is_err()).await
}

/// A connection of somebody else's in the same account.
pub(crate) async fn stranger(nats: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// The tenant's stream.
pub(crate) fn stream(tenant: TenantId) -> String {
    format!("TENANT_{}", tenant.to_string().strip_prefix("ten_").unwrap())
}
