//! What is admitted while there is no Redis: of tenants whose plan says so, this server's share of what is left.

use crate::RedisLimiter;
use crate::answers::parallel;
use crate::flights::{Admitted as Flight, End};
use crate::outage::{Slot, Verdict};
use crate::pack;
use crate::share::Share;
use context::Tenant;
use env::Timestamp;
use limiter::{Admitted, Kind, LimitError, LimitStanding, LimiterUnavailable, PlannedCall};
use metering::budget::{BudgetStanding, Closed};
use metering::plan::WithoutSharedLimits;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{ObjectStore, UsageStore};
use tokio::time::Instant;

/// How often it is looked whether Redis is there again.
const LOOK: Duration = Duration::from_millis(100);

/// Whether the tenant's calls are admitted on shares while there is no Redis.
pub(crate) fn has_shares(tenant: &Tenant<'_>) -> bool {
    tenant.standing().limits.without_shared_limits == WithoutSharedLimits::LocalShare
}

fn locked(share: &Mutex<Share>) -> MutexGuard<'_, Share> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: UsageStore + ObjectStore + ?Sized> RedisLimiter<S> {
    /// Whether shares hold at this moment, of which the tenant has one. Where that is not sure it is looked into.
    pub(crate) fn on_its_share(&self, tenant: &Tenant<'_>) -> bool {
        if !has_shares(tenant) {
            return false;
        }
        let verdict = self.outage.verdict(Instant::now());
        if verdict == Verdict::NotYet && self.outage.is_under_way() {
            self.watch();
        }
        verdict == Verdict::Share
    }

    pub(crate) fn standing_on_share(&self, tenant: &Tenant<'_>, kind: Kind) -> Option<LimitStanding> {
        let (limits, parallel) = (&tenant.standing().limits, parallel(&self.settings, kind));
        self.outage.with(tenant.id(), |share| share.standing(kind, limits, parallel, self.env.now()))
    }

    pub(crate) async fn budgets_on_share(
        &self,
        tenant: &Tenant<'_>,
        now: Timestamp,
    ) -> Option<Vec<BudgetStanding>> {
        let source: &S = &self.source;
        let budgets = limiter_local::budgets(source, tenant).await.ok()?;
        self.outage.with(tenant.id(), |share| share.budgets(&budgets, now))
    }

    /// Holds again what a call held, where the tenant's share holds.
    pub(crate) fn reopen_on_share(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> bool {
        let reopened = self.outage.with(tenant.id(), |share| share.reopen(call)).is_some();
        if reopened {
            self.flights.withdraw(tenant.id(), call.id);
        }
        reopened
    }

    /// Admits a call on the tenant's share, once it is sure that there is no Redis. `None` where it is back, or the
    /// tenant has no shares: then Redis's answer holds.
    pub(crate) async fn begin_on_share(
        &self,
        tenant: &Tenant<'_>,
        call: &PlannedCall,
    ) -> Option<Result<Admitted, LimitError>> {
        if !has_shares(tenant) {
            return None;
        }
        let sure = async {
            loop {
                if self.link.reach(&self.flights).await.is_ok() {
                    return None;
                }
                self.watch();
                match self.outage.verdict(Instant::now()) {
                    Verdict::Share => return Some(true),
                    Verdict::Refuse => return Some(false),
                    Verdict::NotYet => tokio::time::sleep(LOOK).await,
                }
            }
        };
        match tokio::time::timeout(self.settings.patience, sure).await {
            Ok(Some(true)) => Some(self.take(tenant, call).await),
            Ok(None) => None,
            Ok(Some(false)) | Err(_) => Some(Err(LimiterUnavailable::ForNow.into())),
        }
    }

    async fn take(&self, tenant: &Tenant<'_>, call: &PlannedCall) -> Result<Admitted, LimitError> {
        // Whoever reaches Redis after this is told of no call that begins now, and then it does not.
        let connection = self.flights.connection();
        let slot: Slot = self.outage.slot(tenant.id(), Instant::now())?;
        let source: &S = &self.source;
        let reckon = async || {
            let now = self.env.now();
            let budgets = limiter_local::budgets(source, tenant).await?;
            let rows = limiter_local::state(source, tenant, now).await?;
            Ok::<_, LimiterUnavailable>(Mutex::new(Share::of(&rows, &budgets, self.settings.servers, now)))
        };
        let share = slot.get_or_try_init(reckon).await?;
        // Nobody tells this server of budgets that others change meanwhile.
        let budgets = limiter_local::budgets(source, tenant).await?;
        if self.outage.verdict(Instant::now()) != Verdict::Share {
            return Err(LimiterUnavailable::ForNow.into());
        }
        let limits = Arc::clone(&tenant.standing().limits);
        let standing = locked(share).begin(call, &limits, parallel(&self.settings, call.kind), &budgets)?;
        let flight = Flight { packed: pack::call(call), epoch: String::new() };
        if !self.flights.admit(tenant.id(), call.id, flight, connection) {
            locked(share).close(call.id, None);
            return Err(LimiterUnavailable::ForNow.into());
        }
        // It was given back when Redis did not answer.
        self.flights.withdraw(tenant.id(), call.id);
        Ok(Admitted { standing })
    }

    /// Ends a call that began on a share. Redis is told when it is back.
    pub(crate) fn close_on_share(&self, tenant: &Tenant<'_>, (call, cost): End) -> Option<Closed> {
        let closed = self.outage.close(tenant.id(), call, cost)?;
        self.flights.owe(tenant.id(), (call, cost));
        Some(closed)
    }

    /// Has Redis looked for until it is there, so that it is never long ago that it was not.
    fn watch(&self) {
        if !self.outage.is_to_be_watched() {
            return;
        }
        let (link, flights, outage) =
            (Arc::downgrade(&self.link), Arc::downgrade(&self.flights), Arc::downgrade(&self.outage));
        // It ends when Redis is back, or with the limiter, and there is one.
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let (Some(link), Some(flights), Some(outage)) =
                    (link.upgrade(), flights.upgrade(), outage.upgrade())
                else {
                    return;
                };
                if link.reach(&flights).await.is_ok() {
                    return outage.watched();
                }
            }
        });
    }
}
