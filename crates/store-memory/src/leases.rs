//! Leases: one process has the store, so they are in its memory alone.

use crate::MemoryStore;
use async_trait::async_trait;
use context::{Lease, Operator, Tenant};
use ids::{Id as _, RunId, TenantId, WorkerId};
use std::time::Duration;
use store::{Claim, Leases, PendingWork, StoreError, Wanted, WorkIndex as _, WorkKind};

#[async_trait]
impl Leases for MemoryStore {
    fn shared(&self) -> bool {
        false
    }

    async fn unheld(&self, of_one: u32, limit: u32) -> Result<Vec<PendingWork>, StoreError> {
        let pending = self.pending(WorkKind::Run).await?;
        Ok(self.leases.unheld(pending, (of_one, limit), self.env.now()))
    }

    async fn claim(
        &self,
        worker: WorkerId,
        wanted: &[Wanted],
        places: usize,
        term: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let pending = self.pending(WorkKind::Run).await?;
        let is_under_way =
            |it: &Wanted| pending.iter().any(|work| (work.tenant, work.id) == (it.tenant, it.run.to_bytes()));
        let asked: Vec<_> = wanted.iter().copied().filter(is_under_way).collect();
        let mut claims = self.leases.claim(worker, (&asked, places), (self.env.now(), term)).into_iter();
        let claim = |it: &Wanted| if is_under_way(it) { claims.next() } else { None };
        Ok(wanted.iter().map(claim).map(|claim| claim.unwrap_or(Claim::Taken)).collect())
    }

    async fn take(
        &self,
        tenant: &Tenant<'_>,
        worker: WorkerId,
        run: RunId,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let work = run.to_bytes();
        let pending = self.pending(WorkKind::Run).await?;
        let is_under_way = pending.iter().any(|it| it.tenant == tenant.id() && it.id == work);
        Ok(is_under_way.then(|| self.leases.take(tenant.id(), run, worker, self.env.now().plus(term))))
    }

    async fn renew(&self, held: &[(TenantId, Lease)], term: Duration) -> Result<Vec<Lease>, StoreError> {
        Ok(self.leases.renew(held, self.env.now().plus(term)))
    }

    async fn release(&self, held: &[(TenantId, Lease)]) -> Result<(), StoreError> {
        self.leases.release(held);
        Ok(())
    }

    async fn revoke(&self, _: &Operator, tenant: TenantId) -> Result<(), StoreError> {
        self.leases.revoke(tenant);
        Ok(())
    }

    async fn pause(
        &self,
        _: &Operator,
        tenant: TenantId,
        by: WorkerId,
        term: Duration,
    ) -> Result<(), StoreError> {
        self.leases.pause(tenant, by, self.env.now().plus(term));
        Ok(())
    }

    async fn resume(&self, _: &Operator, tenant: TenantId, by: WorkerId) -> Result<(), StoreError> {
        self.leases.resume(tenant, by);
        Ok(())
    }

    async fn held(&self, _: &Operator, tenant: TenantId) -> Result<u64, StoreError> {
        Ok(self.leases.count(tenant, self.env.now()))
    }
}
