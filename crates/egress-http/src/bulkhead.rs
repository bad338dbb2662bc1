//! [`Bulkheads`]: how many calls may be under way, in all and for each tenant. Who is over the bound is told
//! at once; nobody waits here, so that nobody's waiting can fill a queue that others need.

use egress::EgressError;
use ids::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The bounds, and who is within them.
pub(crate) struct Bulkheads {
    total: usize,
    per_tenant: usize,
    /// Tenants with a call under way and no others, so that it has at most `total` entries.
    under_way: Mutex<HashMap<TenantId, usize>>,
}

impl Bulkheads {
    pub(crate) fn new(total: usize, per_tenant: usize) -> Arc<Self> {
        Arc::new(Self { total, per_tenant, under_way: Mutex::default() })
    }

    /// A place for one call, given back when it is dropped.
    pub(crate) fn enter(self: &Arc<Self>, tenant: TenantId) -> Result<Place, EgressError> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = under_way.get(&tenant).copied().unwrap_or(0);
        let all: usize = under_way.values().sum();
        if mine >= self.per_tenant || all >= self.total {
            return Err(EgressError::Busy);
        }
        under_way.insert(tenant, mine + 1);
        Ok(Place { bulkheads: Arc::clone(self), tenant })
    }

    fn leave(&self, tenant: TenantId) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get_mut(&tenant) {
            Some(mine) if *mine > 1 => *mine -= 1,
            _ => {
                under_way.remove(&tenant);
            }
        }
    }
}

/// A place among the calls that are under way.
pub(crate) struct Place {
    bulkheads: Arc<Bulkheads>,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.bulkheads.leave(self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::Bulkheads;
    use env::{Env, Timestamp};
    use ids::TenantId;

    fn tenants() -> [TenantId; 3] {
        let env = Env::fixed(Timestamp::from_millis(1), 1).0;
        [env.id(), env.id(), env.id()]
    }

    #[test]
    fn one_tenants_calls_leave_room_for_anothers() {
        let [greedy, other, third] = tenants();
        let bulkheads = Bulkheads::new(3, 2);
        let held = [bulkheads.enter(greedy), bulkheads.enter(greedy)];
        assert!(held.iter().all(Result::is_ok) && bulkheads.enter(greedy).is_err());
        let _other = bulkheads.enter(other).ok().unwrap();
        assert!(bulkheads.enter(third).is_err());
        drop(held);
        assert!(bulkheads.enter(third).is_ok());
    }

    #[test]
    fn tenants_without_calls_are_forgotten() {
        let bulkheads = Bulkheads::new(10, 2);
        for tenant in tenants() {
            let held = [bulkheads.enter(tenant), bulkheads.enter(tenant)];
            drop(held);
        }
        assert!(bulkheads.under_way.lock().unwrap().is_empty());
    }
}
