//! The stores in memory: what every backend must answer like.
//!
//! Made to be obviously right and not to be fast: each tenant's tables are ordinary maps, a write works on a
//! copy of them that takes their place when all of it went well, and a query looks at everything. The
//! conformance suite runs on it, and a property test drives it in lockstep with the embedded backend.
//! Nothing is encrypted and nothing survives the process.

mod leases;
mod lifecycle;
mod log;
mod objects;
mod operator_log;
mod operators;
mod page;
mod platform;
mod records;
mod runs;
mod tables;
mod tenant;
mod usage;
mod verify_grants;

use context::{Origin, Private, Tenant};
use env::Env;
use ids::{Id, Slug, TenantId};
use platform::Platform;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use store::{Commit, StoreError};
use store_core::leases::LocalLeases;
use tables::Tables;
use tenant::{Known, TenantStores};

/// All stores of a server, in memory.
#[derive(Clone)]
pub struct MemoryStore {
    env: Env,
    state: Arc<Mutex<State>>,
    refusing: Arc<AtomicU32>,
    unfenced: Arc<AtomicBool>,
    leases: Arc<LocalLeases>,
}

/// Takes the beginnings of calls.
const TAKING: u32 = u32::MAX;

pub(crate) struct State {
    pub(crate) platform: Platform,
    pub(crate) tenants: TenantStores,
    /// The operators' log is a log like any tenant's, under an id that no tenant has.
    pub(crate) operators: Known,
}

impl MemoryStore {
    /// Empty stores, with the operators' log in `region`.
    pub fn new(region: Slug, env: Env) -> Self {
        let operators = Known::new(TenantId::from_bytes([0; 16]), region, &env);
        let (platform, tenants) = (Platform::default(), TenantStores::default());
        let state = Arc::new(Mutex::new(State { platform, tenants, operators }));
        let refusing = Arc::new(AtomicU32::new(TAKING));
        Self { env, state, refusing, unfenced: Arc::default(), leases: Arc::default() }
    }

    /// From here on no beginning of a call is written: each is refused when whoever waits for it has looked so
    /// many times in vain.
    pub fn refuse_calls_after(&self, looks: u32) {
        self.refusing.store(looks, Ordering::SeqCst);
    }

    /// From here on writes under leases that are lost are let through, to show that somebody notices.
    pub fn ignore_fences(&self) {
        self.unfenced.store(true, Ordering::SeqCst);
    }

    /// Refuses what is written under a lease that is lost.
    pub(crate) fn permit(&self, tenant: &Tenant<'_>) -> Result<(), StoreError> {
        if self.unfenced.load(Ordering::SeqCst) { Ok(()) } else { self.leases.permit(tenant) }
    }

    /// Refuses the beginning of a call, where that was asked for.
    pub(crate) async fn may_begin_calls(&self) -> Result<(), StoreError> {
        let mut looks = self.refusing.load(Ordering::SeqCst);
        if looks == TAKING {
            return Ok(());
        }
        poll_fn(|context| match looks.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                looks = left;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        Err(StoreError::Unavailable)
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from the tenant's tables.
    pub(crate) fn read<'t, T>(
        &self,
        tenant: &Tenant<'t>,
        query: impl FnOnce(&Known) -> Result<T, StoreError>,
    ) -> Result<Private<'t, T>, StoreError> {
        let state = self.state();
        let known = state.tenants.get(tenant.id())?;
        let value = query(known)?;
        Ok(Private::arrived(tenant, Origin::authenticated(known.id), value))
    }

    /// Writes to the tenant's tables what `work` and the commit say, or nothing of it.
    pub(crate) fn write<'t, T>(
        &self,
        tenant: &Tenant<'t>,
        commit: Commit,
        work: impl FnOnce(&mut Tables) -> Result<T, StoreError>,
    ) -> Result<Private<'t, T>, StoreError> {
        let mut state = self.state();
        let known = state.tenants.get_mut(tenant.id())?;
        let id = known.id;
        let (value, _) = known.commit(commit, &self.env, work)?;
        Ok(Private::arrived(tenant, Origin::authenticated(id), value))
    }
}
