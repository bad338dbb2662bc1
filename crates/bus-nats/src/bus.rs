//! [`NatsBus`]: the bus of several servers.

use crate::link::PATIENCE;
use crate::listener::Listener;
use crate::owed::Owed;
use crate::streams::Streams;
use crate::{Connection, Settings};
use async_trait::async_trait;
use bus::{Bus, BusUnavailable, Message, Pattern, Place, Subscription};
use context::{Operator, Tenant};
use ids::TenantId;

/// The bus of several servers.
#[derive(Clone)]
pub struct NatsBus {
    streams: Streams,
    owed: Owed,
}

impl NatsBus {
    /// A bus that keeps of each tenant no more than the settings say.
    pub fn new(connection: &Connection, settings: Settings) -> Self {
        Self { streams: Streams::new(connection.clone(), settings), owed: Owed::default() }
    }

    /// What was to be forgotten is not told any more, and is not forgotten later together with what is told now.
    async fn settled(&self, tenant: TenantId) -> Result<(), BusUnavailable> {
        if self.owed.contains(tenant) { self.owed.settle(&self.streams, tenant).await } else { Ok(()) }
    }
}

/// Nobody waits longer than this for NATS, however many answers it takes.
async fn in_time<T>(work: impl Future<Output = Result<T, BusUnavailable>>) -> Result<T, BusUnavailable> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(BusUnavailable))
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, tenant: &Tenant<'_>, message: Message) -> Result<(), BusUnavailable> {
        in_time(async {
            self.settled(tenant.id()).await?;
            self.streams.publish(tenant.id(), &message).await
        })
        .await
    }

    async fn subscribe(
        &self,
        tenant: &Tenant<'_>,
        pattern: Pattern,
        after: Option<Place>,
    ) -> Result<Box<dyn Subscription>, BusUnavailable> {
        let standing = in_time(async {
            self.settled(tenant.id()).await?;
            self.streams.make(tenant.id()).await
        });
        let standing = standing.await?;
        Ok(Box::new(Listener::new(self.streams.clone(), tenant.id(), pattern, standing, after)))
    }

    async fn forget(&self, _operator: &Operator, tenant: TenantId) {
        self.owed.forget(&self.streams, tenant).await;
    }
}
