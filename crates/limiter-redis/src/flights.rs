//! [`Flights`]: the calls that this server has under way, and the ends that Redis has not been told of yet.

use ids::{CallId, TenantId};
use money::Usd;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a call ended: at a cost, or without having left.
pub(crate) type End = (CallId, Option<Usd>);

/// A call, and the epoch in which it was admitted.
#[derive(Clone)]
pub(crate) struct Admitted {
    pub(crate) packed: String,
    pub(crate) epoch: String,
}

#[derive(Default)]
struct Tenants {
    of: HashMap<TenantId, OfTenant>,
    connection: u64,
}

#[derive(Default)]
struct OfTenant {
    calls: HashMap<CallId, Admitted>,
    owed: Vec<End>,
}

/// By tenant; as many calls as are under way here.
#[derive(Default)]
pub(crate) struct Flights {
    tenants: Mutex<Tenants>,
}

impl Flights {
    /// From here on calls are admitted over another connection, and those that were are told to it.
    pub(crate) fn renew(&self, connection: u64) {
        self.lock().connection = connection;
    }

    /// Notes a call that was admitted over this connection. `false` where another one took its place meanwhile,
    /// which was not told of the call.
    pub(crate) fn admit(&self, tenant: TenantId, call: CallId, admitted: Admitted, connection: u64) -> bool {
        let mut tenants = self.lock();
        if tenants.connection != connection {
            return false;
        }
        tenants.of.entry(tenant).or_default().calls.insert(call, admitted);
        true
    }

    /// Over which connection calls are admitted.
    pub(crate) fn connection(&self) -> u64 {
        self.lock().connection
    }

    /// A call goes on that Redis was to be told of as ended.
    pub(crate) fn withdraw(&self, tenant: TenantId, call: CallId) {
        if let Some(of) = self.lock().of.get_mut(&tenant) {
            of.owed.retain(|(owed, _)| *owed != call);
        }
    }

    /// The call has ended, and Redis is to be told.
    pub(crate) fn owe(&self, tenant: TenantId, end: End) {
        self.lock().of.entry(tenant).or_default().owed.push(end);
    }

    /// What Redis is to be told of a tenant's calls.
    pub(crate) fn owed(&self, tenant: TenantId) -> Vec<End> {
        self.lock().of.get(&tenant).map(|of| of.owed.clone()).unwrap_or_default()
    }

    /// Redis was told of these ends over this connection. Where another one took its place meanwhile, the calls
    /// were told to that as under way, and their ends are told again.
    pub(crate) fn told(&self, tenant: TenantId, ends: &[End], connection: u64) {
        let mut tenants = self.lock();
        if tenants.connection != connection {
            return;
        }
        let Some(of) = tenants.of.get_mut(&tenant) else { return };
        of.owed.retain(|owed| !ends.contains(owed));
        for (call, _) in ends {
            of.calls.remove(call);
        }
        if of.calls.is_empty() && of.owed.is_empty() {
            tenants.of.remove(&tenant);
        }
    }

    /// The tenant's calls under way here.
    pub(crate) fn of(&self, tenant: TenantId) -> Vec<(CallId, Admitted)> {
        let tenants = self.lock();
        let calls = tenants.of.get(&tenant).map(|of| &of.calls);
        calls.into_iter().flatten().map(|(call, admitted)| (*call, admitted.clone())).collect()
    }

    /// Tenants with calls under way here, or of whose ends Redis is to be told.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.lock().of.keys().copied().collect()
    }

    pub(crate) fn forget(&self, tenant: TenantId) {
        self.lock().of.remove(&tenant);
    }

    fn lock(&self) -> MutexGuard<'_, Tenants> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was asked for. Unless it is known to be admitted it is given back when this goes: Redis may have
/// admitted it though its answer was lost. Giving back one that was refused changes nothing.
pub(crate) struct Asked<'f> {
    flights: &'f Flights,
    tenant: TenantId,
    call: Option<CallId>,
}

impl<'f> Asked<'f> {
    pub(crate) fn of(flights: &'f Flights, tenant: TenantId, call: CallId) -> Self {
        Self { flights, tenant, call: Some(call) }
    }

    /// The call is known to be admitted.
    pub(crate) fn admitted(mut self) {
        self.call = None;
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.flights.owe(self.tenant, (call, None));
        }
    }
}
