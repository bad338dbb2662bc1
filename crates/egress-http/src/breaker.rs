//! [`Breakers`]: a circuit breaker for each tenant and host. A host that keeps failing a tenant is left alone
//! for a while, so that its calls do not spend their timeouts one by one; other tenants never notice.
//!
//! Memory is bounded: only hosts that have just failed are remembered, a few for each tenant.

use egress::EgressError;
use ids::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// After how many failures without a success between them.
    pub failures: u32,
    /// How long the host is left alone before one call probes it.
    pub rest: Duration,
    /// How many failing hosts of one tenant are remembered. The one that failed longest ago is forgotten first.
    pub hosts_per_tenant: usize,
    /// How many tenants with failing hosts are remembered. Beyond them no circuit opens.
    pub tenants: usize,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, rest: Duration::from_secs(15), hosts_per_tenant: 32, tenants: 4096 }
    }
}

#[derive(Clone, Copy)]
struct Circuit {
    failures: u32,
    last: Instant,
    probing: bool,
}

type Hosts = HashMap<String, Circuit>;

/// The circuits that are not simply closed.
pub(crate) struct Breakers {
    settings: BreakerSettings,
    failing: Mutex<HashMap<TenantId, Hosts>>,
}

impl Breakers {
    pub(crate) fn new(settings: BreakerSettings) -> Arc<Self> {
        Arc::new(Self { settings, failing: Mutex::default() })
    }

    /// Lets a call to `host` through, unless its circuit is open. Of the calls that come after the rest,
    /// one is let through as a probe.
    pub(crate) fn pass(self: &Arc<Self>, tenant: TenantId, host: String) -> Result<Passage, EgressError> {
        let now = Instant::now();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut probes = false;
        if let Some(circuit) = failing.get_mut(&tenant).and_then(|hosts| hosts.get_mut(&host))
            && circuit.failures >= self.settings.failures
        {
            let until = circuit.last + self.settings.rest;
            if now < until || circuit.probing {
                let retry_after = until.saturating_duration_since(now);
                return Err(EgressError::CircuitOpen { retry_after });
            }
            circuit.probing = true;
            probes = true;
        }
        Ok(Passage { breakers: Arc::clone(self), tenant, host, probes })
    }

    fn succeeded(&self, tenant: TenantId, host: &str) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hosts) = failing.get_mut(&tenant) {
            hosts.remove(host);
            if hosts.is_empty() {
                failing.remove(&tenant);
            }
        }
    }

    fn failed(&self, tenant: TenantId, host: &str, probes: bool) {
        let now = Instant::now();
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.len() >= self.settings.tenants && !failing.contains_key(&tenant) {
            self.forget_stale(&mut failing, now);
            if failing.len() >= self.settings.tenants {
                return;
            }
        }
        let hosts = failing.entry(tenant).or_default();
        if hosts.len() >= self.settings.hosts_per_tenant && !hosts.contains_key(host) {
            let oldest = hosts.iter().min_by_key(|(_, circuit)| circuit.last).map(|(host, _)| host.clone());
            oldest.and_then(|oldest| hosts.remove(&oldest));
        }
        let circuit =
            hosts.entry(host.to_owned()).or_insert(Circuit { failures: 0, last: now, probing: false });
        if circuit.failures >= self.settings.failures && !probes {
            // A call from before the circuit opened. It says nothing about the host as it is now.
            return;
        }
        circuit.failures = circuit.failures.saturating_add(1);
        circuit.last = now;
        circuit.probing = false;
    }

    /// The probe came to nothing: neither the host's success nor its failure.
    fn unknown(&self, tenant: TenantId, host: &str) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(circuit) = failing.get_mut(&tenant).and_then(|hosts| hosts.get_mut(host)) {
            circuit.probing = false;
        }
    }

    fn forget_stale(&self, failing: &mut HashMap<TenantId, Hosts>, now: Instant) {
        failing.retain(|_, hosts| {
            hosts.retain(|_, circuit| circuit.probing || now < circuit.last + self.settings.rest * 2);
            !hosts.is_empty()
        });
    }
}

/// One call that was let through. Dropped without an outcome, as when the caller goes away, it counts for
/// nothing, and another call may be the probe.
pub(crate) struct Passage {
    breakers: Arc<Breakers>,
    tenant: TenantId,
    host: String,
    probes: bool,
}

impl Passage {
    /// The host answered.
    pub(crate) fn succeeded(mut self) {
        self.probes = false;
        self.breakers.succeeded(self.tenant, &self.host);
    }

    /// The host failed.
    pub(crate) fn failed(mut self) {
        let probes = std::mem::take(&mut self.probes);
        self.breakers.failed(self.tenant, &self.host, probes);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.probes {
            self.breakers.unknown(self.tenant, &self.host);
        }
    }
}

#[cfg(test)]
mod tests;
