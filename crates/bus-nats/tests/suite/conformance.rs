//! The suite of buses and of doorbells, over one connection and over two.

use async_trait::async_trait;
use bus::{Bus, BusUnavailable, Message, Pattern, Place, Subscription};
use bus_nats::{Connection, Link, NatsBell, NatsBus, Settings, Tls};
use bus_tests::{Backend, Bells, KEPT};
use context::{Operator, Tenant};
use env::Env;
use ids::TenantId;
use nats_instance::NatsServer;

/// A connection as a server of ours has one.
pub(crate) async fn connect(server: &NatsServer) -> Connection {
    Connection::open(&Link::new(&server.url(), &Tls::default(), None).unwrap()).await.unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings { tenant_messages: u32::try_from(KEPT).unwrap(), ..Settings::default() }
}

/// A bus that tells over one connection and hears over another, as two servers do.
pub(crate) struct Two {
    pub(crate) tells: NatsBus,
    pub(crate) hears: NatsBus,
    pub(crate) nats: NatsServer,
}

#[async_trait]
impl Bus for Two {
    async fn publish(&self, tenant: &Tenant<'_>, message: Message) -> Result<(), BusUnavailable> {
        self.tells.publish(tenant, message).await
    }

    async fn subscribe(
        &self,
        tenant: &Tenant<'_>,
        pattern: Pattern,
        after: Option<Place>,
    ) -> Result<Box<dyn Subscription>, BusUnavailable> {
        self.hears.subscribe(tenant, pattern, after).await
    }

    async fn forget(&self, operator: &Operator, tenant: TenantId) {
        self.tells.forget(operator, tenant).await;
    }
}

pub(crate) struct OneConnection;

impl Backend for OneConnection {
    type Bus = Two;

    async fn open(_: Env) -> Two {
        let nats = NatsServer::start();
        let bus = NatsBus::new(&connect(&nats).await, settings());
        Two { tells: bus.clone(), hears: bus, nats }
    }
}

pub(crate) struct TwoConnections;

impl Backend for TwoConnections {
    type Bus = Two;

    async fn open(_: Env) -> Two {
        let nats = NatsServer::start();
        let tells = NatsBus::new(&connect(&nats).await, settings());
        Two { tells, hears: NatsBus::new(&connect(&nats).await, settings()), nats }
    }
}

mod alone {
    use super::OneConnection;
    bus_tests::conformance!(OneConnection);
}

mod two {
    use super::TwoConnections;
    bus_tests::conformance!(TwoConnections);
}

mod doorbell {
    use super::{Bells, NatsBell, NatsServer, connect};
    use async_trait::async_trait;
    use bus::{Doorbell, Ear, Topic};
    use std::sync::Arc;

    /// The bell, and the NATS that it needs.
    struct OfServer {
        bell: NatsBell,
        _nats: Arc<NatsServer>,
    }

    #[async_trait]
    impl Doorbell for OfServer {
        async fn ring(&self, topic: Topic) {
            self.bell.ring(topic).await;
        }

        fn listen(&self) -> Box<dyn Ear> {
            self.bell.listen()
        }
    }

    struct TwoServers;

    impl Bells for TwoServers {
        type Bell = OfServer;

        async fn hang() -> (OfServer, OfServer) {
            let nats = Arc::new(NatsServer::start());
            let one = NatsBell::hang(&connect(&nats).await).await.unwrap();
            let two = NatsBell::hang(&connect(&nats).await).await.unwrap();
            (OfServer { bell: one, _nats: nats.clone() }, OfServer { bell: two, _nats: nats })
        }
    }

    bus_tests::doorbell!(TwoServers);
}
