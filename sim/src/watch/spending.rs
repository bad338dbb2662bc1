//! What tenants spend, and how many calls they have under way.

use super::{Promise, Seen, Watch};
use ids::{CallId, TenantId};
use money::Usd;

impl Seen {
    /// A call costs this, as far as is known: all of a tenant's together are within its budget.
    fn charged(&mut self, tenant: TenantId, call: CallId, cost: Usd) {
        let before = self.calls.insert(call, cost).unwrap_or(Usd::ZERO);
        let sum = self.spending.entry(tenant).or_insert(Usd::ZERO);
        *sum = sum.minus(before).plus(cost);
        let (sum, limit) = (*sum, self.tenants.get(&tenant).map(|expected| expected.budget));
        if let Some(limit) = limit.filter(|limit| sum > *limit && cost > before) {
            self.find(
                Promise::Ceilings,
                format!("{tenant} may have to pay {sum}, and its budget is {limit}"),
            );
        }
    }
}

impl Watch {
    /// The store has a call's beginning, or its end, with what it costs.
    pub(crate) fn charged(&self, tenant: TenantId, call: CallId, cost: Usd) {
        self.seen().charged(tenant, call, cost);
    }

    /// A model begins to work for a tenant.
    pub(crate) fn asked(&self, tenant: TenantId) {
        let mut seen = self.seen();
        let most = seen.tenants.get(&tenant).map_or(u64::MAX, |expected| expected.model_calls);
        let under_way = seen.models.entry(tenant).or_default();
        *under_way += 1;
        let under_way = *under_way;
        if under_way > most {
            seen.find(
                Promise::Ceilings,
                format!("{under_way} model calls of {tenant} are under way, {most} may be"),
            );
        }
    }

    /// A model is done, or nobody waits for it any more.
    pub(crate) fn answered(&self, tenant: TenantId) {
        if let Some(under_way) = self.seen().models.get_mut(&tenant) {
            *under_way = under_way.saturating_sub(1);
        }
    }
}
