//! Requests a second, by tenant. Not restored: a second is over before a server has started again.

use context::Tenant;
use env::Timestamp;
use ids::TenantId;
use metering::window::{Refusal, RequestRate, Standing};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The rates of tenants that sent requests within the last second.
pub(crate) struct Requests {
    rates: Mutex<HashMap<TenantId, RequestRate>>,
    most: usize,
}

impl Requests {
    pub(crate) fn new(most: usize) -> Self {
        Self { rates: Mutex::default(), most }
    }

    /// Admits a request of the tenant, or says when one will be.
    pub(crate) fn admit(&self, tenant: &Tenant<'_>, now: Timestamp) -> Result<Standing, Refusal> {
        let per_second = tenant.standing().limits.requests_per_second;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= self.most && !rates.contains_key(&tenant.id()) {
            rates.retain(|_, rate| !rate.is_idle(now));
        }
        if rates.len() >= self.most
            && let Some(victim) = rates.keys().next().copied()
        {
            // The worst that follows is one tenant's second burst within one second.
            rates.remove(&victim);
        }
        let rate = rates.entry(tenant.id()).or_insert_with(|| RequestRate::new(per_second, now));
        rate.set_rate(per_second, now);
        rate.try_take(now)
    }

    /// Where the tenant's rate stands.
    pub(crate) fn standing(&self, tenant: &Tenant<'_>, now: Timestamp) -> Standing {
        let per_second = tenant.standing().limits.requests_per_second;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = rates.get_mut(&tenant.id()) else {
            return RequestRate::new(per_second, now).standing(now);
        };
        rate.set_rate(per_second, now);
        rate.standing(now)
    }

    /// Drops the rates that say nothing any more.
    pub(crate) fn sweep(&self, now: Timestamp) {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, rate| !rate.is_idle(now));
    }
}
