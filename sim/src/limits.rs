//! [`NodeLimits`]: the limits that all nodes share, as a node reaches them over the network.

use crate::mistakes::Mistake;
use crate::network::{CutOff, Link};
use async_trait::async_trait;
use context::{Operator, Tenant};
use ids::{CallId, TenantId};
use limiter::{Admitted, Kind, LimitError, LimitStanding, Limiter, LimiterUnavailable, PlannedCall};
use limiter_local::LocalLimiter;
use metering::budget::{BudgetStanding, Closed};
use metering::window::Standing;
use money::Usd;
use std::sync::Arc;
use store_memory::MemoryStore;

/// The limits themselves, of which there is one.
pub(crate) type Shared = Arc<LocalLimiter<MemoryStore>>;

/// The limits of a node.
pub(crate) struct NodeLimits {
    pub(crate) link: Link,
    pub(crate) shared: Shared,
}

fn cut_off(_: CutOff) -> LimiterUnavailable {
    LimiterUnavailable::ForNow
}

impl NodeLimits {
    fn as_asked(&self, call: &PlannedCall) -> PlannedCall {
        let mut call = call.clone();
        if self.link.world.mistaken(Mistake::ReservedTooLittle) {
            call.worst_case = call.worst_case.map(|worst| worst.per_million(100_000));
        }
        call
    }
}

#[async_trait]
impl Limiter for NodeLimits {
    async fn request(&self, tenant: &Tenant<'_>) -> Result<Standing, LimitError> {
        self.link.call("request", self.shared.request(tenant)).await.map_err(cut_off)?
    }

    async fn requests(&self, tenant: &Tenant<'_>) -> Result<Standing, LimiterUnavailable> {
        self.link.call("requests", self.shared.requests(tenant)).await.map_err(cut_off)?
    }

    async fn begin(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<Admitted, LimitError> {
        let call = self.as_asked(call);
        self.link.call("begin", self.shared.begin(tenant, &call)).await.map_err(cut_off)?
    }

    async fn settle(
        &self,
        tenant: &Tenant<'_>,
        call: CallId,
        cost: Usd,
    ) -> Result<Option<Closed>, LimiterUnavailable> {
        self.link.call("settle", self.shared.settle(tenant, call, cost)).await.map_err(cut_off)?
    }

    async fn release(&self, tenant: &Tenant<'_>, call: CallId) -> Result<Option<Closed>, LimiterUnavailable> {
        self.link.call("release", self.shared.release(tenant, call)).await.map_err(cut_off)?
    }

    fn abandon(&self, tenant: &Tenant<'_>, call: CallId) {
        if !self.link.world.network.is_cut(self.link.node, self.link.peer) {
            self.shared.abandon(tenant, call);
        }
    }

    async fn standing(&self, tenant: &Tenant<'_>, kind: Kind) -> Result<LimitStanding, LimiterUnavailable> {
        self.link.call("limits", self.shared.standing(tenant, kind)).await.map_err(cut_off)?
    }

    async fn budgets(&self, tenant: &Tenant<'_>) -> Result<Vec<BudgetStanding>, LimiterUnavailable> {
        self.link.call("budgets", self.shared.budgets(tenant)).await.map_err(cut_off)?
    }

    async fn refresh_budgets(&self, tenant: &Tenant<'_>) -> Result<(), LimiterUnavailable> {
        self.link.call("refresh_budgets", self.shared.refresh_budgets(tenant)).await.map_err(cut_off)?
    }

    async fn reopen(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<(), LimiterUnavailable> {
        self.link.call("reopen", self.shared.reopen(tenant, call)).await.map_err(cut_off)?
    }

    async fn forget(&self, operator: &Operator, tenant: TenantId) {
        // What is kept of a tenant that is gone is in nobody's way.
        let _ = self.link.call("forget", self.shared.forget(operator, tenant)).await;
    }

    async fn sweep(&self) {
        // It is tried again soon.
        let _ = self.link.call("sweep", self.shared.sweep()).await;
    }
}
