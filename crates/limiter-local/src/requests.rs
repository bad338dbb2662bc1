//! Requests a second, by tenant. Not restored: a second is over before a server has started again.

use context::Tenant;
use env::Timestamp;
use ids::TenantId;
use metering::window::{Refusal, RequestRate, Standing};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// The rates of tenants that sent requests within the last second.
pub struct Requests {
    rates: Mutex<HashMap<TenantId, RequestRate>>,
    most: usize,
    servers: NonZeroU32,
}

impl Requests {
    /// Rates of so many tenants at most.
    pub fn new(most: usize) -> Self {
        Self { rates: Mutex::default(), most, servers: NonZeroU32::MIN }
    }

    /// The same where so many servers each have an equal part of every rate.
    #[must_use]
    pub fn shared_by(self, servers: NonZeroU32) -> Self {
        Self { servers, ..self }
    }

    fn rate(&self, tenant: &Tenant<'_>) -> Option<u64> {
        let whole = tenant.standing().limits.requests_per_second;
        whole.map(|whole| whole / u64::from(self.servers.get()))
    }

    /// Admits a request of the tenant, or says when one will be.
    pub fn admit(&self, tenant: &Tenant<'_>, now: Timestamp) -> Result<Standing, Refusal> {
        let per_second = self.rate(tenant);
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
    pub fn standing(&self, tenant: &Tenant<'_>, now: Timestamp) -> Standing {
        let per_second = self.rate(tenant);
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = rates.get_mut(&tenant.id()) else {
            return RequestRate::new(per_second, now).standing(now);
        };
        rate.set_rate(per_second, now);
        rate.standing(now)
    }

    /// Drops the rates that say nothing any more.
    pub fn sweep(&self, now: Timestamp) {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, rate| !rate.is_idle(now));
    }
}
