//! [`LocalLimiter`]: the adapter. It finds a tenant's meter, or has it restored by one caller for all.

use crate::meter::{Charges, Meter};
use crate::requests::Requests;
use crate::restore;
use async_trait::async_trait;
use context::{Operator, Tenant};
use env::{Env, Timestamp};
use ids::{CallId, TenantId};
use limiter::{Admitted, Kind, LimitError, LimitStanding, Limiter, LimiterUnavailable, PlannedCall};
use metering::budget::{BudgetStanding, Closed};
use metering::window::Standing;
use money::Usd;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{ObjectStore, UsageStore};
use tokio::sync::OnceCell;

/// How much is kept in memory, and how much may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Model calls of one tenant under way at once.
    pub parallel_model_calls: u64,
    /// Tenants whose meters are kept.
    pub tenants: usize,
    /// How long the meter of an idle tenant is kept.
    pub idle: Duration,
    /// How long after a call's lease its row may take to tell how it ended.
    pub lease_margin: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parallel_model_calls: 256,
            tenants: 100_000,
            idle: Duration::from_secs(600),
            lease_margin: Duration::from_secs(60),
        }
    }
}

/// One tenant's place in memory.
#[derive(Default)]
struct Slot {
    meter: OnceCell<Mutex<Meter>>,
    /// One reading of the budgets at a time, so that the last one is what holds.
    refreshing: tokio::sync::Mutex<()>,
    used_at: AtomicI64,
}

impl Slot {
    fn may_go(&self, before: Timestamp) -> bool {
        let idle = self.used_at.load(Ordering::SeqCst) < before.millis();
        idle && self.meter.get().is_none_or(|meter| !locked(meter).is_busy())
    }
}

/// Keeps limits in this process.
pub struct LocalLimiter<S: ?Sized> {
    source: Arc<S>,
    env: Env,
    settings: Settings,
    requests: Requests,
    meters: Mutex<HashMap<TenantId, Arc<Slot>>>,
}

impl<S: UsageStore + ObjectStore + ?Sized> LocalLimiter<S> {
    /// A limiter that restores from these stores.
    pub fn new(source: Arc<S>, env: Env, settings: Settings) -> Self {
        let requests = Requests::new(settings.tenants);
        Self { source, env, settings, requests, meters: Mutex::default() }
    }

    /// Tenants whose meters are in memory.
    pub fn kept(&self) -> usize {
        locked(&self.meters).len()
    }

    /// The tenant's slot. Whoever holds it keeps it in the map.
    fn slot(&self, tenant: &Tenant<'_>, now: Timestamp) -> Result<Arc<Slot>, LimiterUnavailable> {
        let mut meters = locked(&self.meters);
        if meters.len() >= self.settings.tenants && !meters.contains_key(&tenant.id()) {
            drop_idle(&mut meters, now.minus(self.settings.idle));
            if meters.len() >= self.settings.tenants {
                drop_idle(&mut meters, Timestamp::from_millis(i64::MAX));
            }
            if meters.len() >= self.settings.tenants {
                return Err(LimiterUnavailable::ForNow);
            }
        }
        let slot = Arc::clone(meters.entry(tenant.id()).or_default());
        slot.used_at.store(now.millis(), Ordering::SeqCst);
        Ok(slot)
    }

    /// Works with the tenant's meter, restored where it is not in memory.
    async fn with<R>(
        &self,
        tenant: &Tenant<'_>,
        work: impl FnOnce(&mut Meter, Timestamp) -> R + Send,
    ) -> Result<R, LimiterUnavailable> {
        let now = self.env.now();
        let slot = self.slot(tenant, now)?;
        let meter = self.restored(&slot, tenant, now).await?;
        let mut meter = locked(meter);
        Ok(work(&mut meter, now))
    }

    async fn restored<'s>(
        &self,
        slot: &'s Slot,
        tenant: &Tenant<'_>,
        now: Timestamp,
    ) -> Result<&'s Mutex<Meter>, LimiterUnavailable> {
        let source: &S = &self.source;
        let restore = async || restore::meter(source, tenant, now).await.map(Mutex::new);
        slot.meter.get_or_try_init(restore).await
    }

    fn parallel(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::Ai => Some(self.settings.parallel_model_calls),
            // Egress bounds them by tenant and host.
            Kind::Api => None,
        }
    }
}

/// Drops meters last used before a moment that nobody holds and no call of which is under way.
fn drop_idle(meters: &mut HashMap<TenantId, Arc<Slot>>, before: Timestamp) {
    meters.retain(|_, slot| Arc::strong_count(slot) > 1 || !slot.may_go(before));
}

#[async_trait]
impl<S: UsageStore + ObjectStore + ?Sized + 'static> Limiter for LocalLimiter<S> {
    async fn request(&self, tenant: &Tenant<'_>) -> Result<Standing, LimitError> {
        self.requests.admit(tenant, self.env.now()).map_err(LimitError::Requests)
    }

    async fn requests(&self, tenant: &Tenant<'_>) -> Result<Standing, LimiterUnavailable> {
        Ok(self.requests.standing(tenant, self.env.now()))
    }

    async fn begin(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<Admitted, LimitError> {
        let limits = Arc::clone(&tenant.standing().limits);
        let parallel = self.parallel(call.kind);
        let standing = self.with(tenant, |meter, _| meter.begin(call, &limits, parallel)).await??;
        Ok(Admitted { standing })
    }

    async fn settle(
        &self,
        tenant: &Tenant<'_>,
        call: CallId,
        cost: Usd,
    ) -> Result<Option<Closed>, LimiterUnavailable> {
        self.with(tenant, |meter, _| meter.settle(call, cost)).await
    }

    async fn release(&self, tenant: &Tenant<'_>, call: CallId) -> Result<Option<Closed>, LimiterUnavailable> {
        self.with(tenant, |meter, _| meter.release(call)).await
    }

    fn abandon(&self, tenant: &Tenant<'_>, call: CallId) {
        let slot = locked(&self.meters).get(&tenant.id()).cloned();
        if let Some(meter) = slot.as_ref().and_then(|slot| slot.meter.get()) {
            locked(meter).release(call);
        }
    }

    async fn standing(&self, tenant: &Tenant<'_>, kind: Kind) -> Result<LimitStanding, LimiterUnavailable> {
        let limits = Arc::clone(&tenant.standing().limits);
        let parallel = self.parallel(kind);
        self.with(tenant, |meter, now| meter.standing(kind, &limits, parallel, now)).await
    }

    async fn budgets(&self, tenant: &Tenant<'_>) -> Result<Vec<BudgetStanding>, LimiterUnavailable> {
        self.with(tenant, |meter, now| meter.budgets(now)).await
    }

    async fn refresh_budgets(&self, tenant: &Tenant<'_>) -> Result<(), LimiterUnavailable> {
        let now = self.env.now();
        let slot = self.slot(tenant, now)?;
        let _turn = slot.refreshing.lock().await;
        let meter = self.restored(&slot, tenant, now).await?;
        let source: &S = &self.source;
        let budgets = restore::budgets(source, tenant).await?;
        let lacks = locked(meter).lacks(&budgets);
        let rows = if lacks {
            let remembering = Remembering::of(meter);
            let rows = restore::charges(source, tenant, now).await?;
            remembering.keep();
            rows
        } else {
            Charges::default()
        };
        locked(meter).set_budgets(budgets, rows, now);
        Ok(())
    }

    async fn reopen(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<(), LimiterUnavailable> {
        self.with(tenant, |meter, _| meter.restore_open(call.clone())).await
    }

    async fn forget(&self, _: &Operator, tenant: TenantId) {
        locked(&self.meters).remove(&tenant);
    }

    async fn sweep(&self) {
        let now = self.env.now();
        self.requests.sweep(now);
        let slots: Vec<_> = locked(&self.meters).iter().map(|(id, slot)| (*id, Arc::clone(slot))).collect();
        for (tenant, slot) in slots {
            let Some(meter) = slot.meter.get() else { continue };
            for Closed { call, cost, .. } in locked(meter).expire(now.minus(self.settings.lease_margin)) {
                tracing::warn!(tenant.id = %tenant, %call, %cost, "a call whose lease ended was charged what it held");
            }
        }
        drop_idle(&mut locked(&self.meters), now.minus(self.settings.idle));
    }
}

/// While it is there, charges are remembered; where nobody takes them over, they are forgotten again.
struct Remembering<'m>(Option<&'m Mutex<Meter>>);

impl<'m> Remembering<'m> {
    fn of(meter: &'m Mutex<Meter>) -> Self {
        locked(meter).remember_charges();
        Self(Some(meter))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Remembering<'_> {
    fn drop(&mut self) {
        if let Some(meter) = self.0.take() {
            locked(meter).forget_charges();
        }
    }
}

/// Nothing that holds one of these locks can panic half-way through a change.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
