//! [`NodeModel`]: the built-in model, as if it were somewhere else.

use crate::network::{CutOff, Link};
use crate::outside::thinking;
use crate::world::World;
use async_trait::async_trait;
use context::{Private, Tenant};
use ids::TenantId;
use model::dialect::openai::ChatCall;
use model::{ChatAnswer, ModelEndpoint, ModelError, Target, Unsent};
use model_offline::OfflineModel;
use std::sync::Arc;

/// A model, as a node reaches it over the network.
pub(crate) struct NodeModel {
    pub(crate) link: Link,
    pub(crate) model: OfflineModel,
}

/// A call that the model works on for somebody.
struct UnderWay(Arc<World>, TenantId);

impl UnderWay {
    fn begin(world: &Arc<World>, tenant: TenantId) -> Self {
        world.watch.asked(tenant);
        Self(Arc::clone(world), tenant)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.watch.answered(self.1);
    }
}

#[async_trait]
impl ModelEndpoint for NodeModel {
    async fn chat<'t>(
        &self,
        tenant: &Tenant<'t>,
        target: &Target,
        call: Private<'t, ChatCall>,
    ) -> Result<ChatAnswer<'t>, ModelError> {
        let _under_way = UnderWay::begin(&self.link.world, tenant.id());
        let work = async {
            tokio::time::sleep(thinking(&self.link)).await;
            self.model.chat(tenant, target, call).await
        };
        match self.link.call("chat", work).await {
            Ok(answer) => answer,
            Err(CutOff::There) => Err(Unsent::Connect.into()),
            Err(CutOff::Back) => Err(ModelError::Broken),
        }
    }
}
