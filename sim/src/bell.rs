//! [`NodeBell`] and [`NodeBus`]: rings and messages between nodes, which are late, get lost, or come twice.

use crate::mail::Letter;
use crate::network::Link;
use async_trait::async_trait;
use bus::{Bus, BusUnavailable, Doorbell, Ear, Heard, Message, Pattern, Place, Subscription, Topic};
use bus_local::{LocalBell, LocalBus};
use context::{Operator, Private, Tenant};
use ids::TenantId;

/// In how many of a hundred cases a ring is lost, and in how many it comes twice.
const LOST: u64 = 15;
const TWICE: u64 = 15;

/// The doorbell of a node, which rings at all others as well.
pub(crate) struct NodeBell {
    pub(crate) link: Link,
    pub(crate) here: LocalBell,
    pub(crate) nodes: usize,
}

#[async_trait]
impl Doorbell for NodeBell {
    async fn ring(&self, topic: Topic) {
        self.here.ring_here(topic);
        let (world, network) = (&self.link.world, &self.link.world.network);
        for node in (0..self.nodes).filter(|node| *node != self.link.node) {
            let cut = network.is_cut(self.link.node, self.link.peer) || network.is_cut(node, self.link.peer);
            if cut || network.dice().in_hundred(LOST) {
                continue;
            }
            for _ in 0..=u64::from(network.dice().in_hundred(TWICE)) {
                let delay = network.delay(self.link.node, self.link.peer);
                let at = world.now().saturating_add_unsigned(delay);
                world.mail.send(node, at, Letter::Ring(topic));
            }
        }
    }

    fn listen(&self) -> Box<dyn Ear> {
        self.here.listen()
    }
}

/// The bus that all nodes share, as a node reaches it.
pub(crate) struct NodeBus {
    pub(crate) link: Link,
    pub(crate) shared: LocalBus,
}

#[async_trait]
impl Bus for NodeBus {
    async fn publish(&self, tenant: &Tenant<'_>, message: Message) -> Result<(), BusUnavailable> {
        self.link.call("publish", self.shared.publish(tenant, message)).await.map_err(|_| BusUnavailable)?
    }

    async fn subscribe(
        &self,
        tenant: &Tenant<'_>,
        pattern: Pattern,
        after: Option<Place>,
    ) -> Result<Box<dyn Subscription>, BusUnavailable> {
        let work = self.shared.subscribe(tenant, pattern, after);
        let heard = self.link.call("subscribe", work).await.map_err(|_| BusUnavailable)??;
        Ok(Box::new(Late { link: self.link.clone(), heard }))
    }

    async fn forget(&self, operator: &Operator, tenant: TenantId) {
        // What is kept of a tenant that is gone ends by itself.
        let _ = self.link.call("forget", self.shared.forget(operator, tenant)).await;
    }
}

/// A listener whose messages are late.
struct Late {
    link: Link,
    heard: Box<dyn Subscription>,
}

#[async_trait]
impl Subscription for Late {
    async fn next<'t>(&mut self, tenant: &Tenant<'t>) -> Option<Private<'t, Heard>> {
        let heard = self.heard.next(tenant).await?;
        self.link.call("message", async {}).await.ok()?;
        Some(heard)
    }
}
