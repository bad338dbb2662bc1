//! [`NodeStore`]: the one store, as a node reaches it over the network. The store itself is the reference in memory;
//! what is sent to it is done at one moment, if it arrives.

mod leases;
mod platform;
mod tenants;

use crate::mistakes::Mistake;
use crate::network::Link;
use std::sync::Arc;
use store::StoreError;
use store_memory::MemoryStore;

/// The store of a node.
#[derive(Clone)]
pub(crate) struct NodeStore {
    link: Link,
    truth: MemoryStore,
}

impl NodeStore {
    pub(crate) fn new(link: Link, truth: MemoryStore) -> Arc<Self> {
        Arc::new(Self { link, truth })
    }

    /// Has something done at the store.
    async fn over<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.link.call(what, work).await.unwrap_or(Err(StoreError::Unavailable))
    }

    fn now(&self) -> i64 {
        self.link.world.now()
    }

    fn mistaken(&self, mistake: Mistake) -> bool {
        self.link.world.mistaken(mistake)
    }
}

/// Implements a trait of stores by sending each call over the network.
macro_rules! over_the_network {
    ($trait:path {
        $($(#[$meta:meta])* fn $name:ident $(<$life:lifetime>)? ($($argument:ident : $type:ty),* $(,)?) -> $answer:ty;)*
    }) => {
        #[async_trait::async_trait]
        impl $trait for $crate::truth::NodeStore {
            $(
                $(#[$meta])*
                async fn $name $(<$life>)? (&self, $($argument: $type),*) -> Result<$answer, store::StoreError> {
                    let work = <store_memory::MemoryStore as $trait>::$name(&self.truth, $($argument),*);
                    self.over(stringify!($name), work).await
                }
            )*
        }
    };
}

use over_the_network;
