//! Leases as several servers have them: of one store, by its own clock.

use super::NodeStore;
use crate::mistakes::Mistake;
use async_trait::async_trait;
use context::{Lease, Operator, Tenant};
use ids::{RunId, TenantId, WorkerId};
use std::time::Duration;
use store::{Claim, Leases, PendingWork, StoreError, Wanted};

impl NodeStore {
    /// When a lease ends that is given now.
    fn until(&self, term: Duration) -> i64 {
        self.now() + i64::try_from(term.as_millis()).unwrap_or(i64::MAX)
    }
}

#[async_trait]
impl Leases for NodeStore {
    fn shared(&self) -> bool {
        true
    }

    async fn unheld(&self, of_one: u32, limit: u32) -> Result<Vec<PendingWork>, StoreError> {
        let found = self.over("unheld", self.truth.unheld(of_one, limit)).await?;
        Ok(if self.mistaken(Mistake::NobodyLooks) { Vec::new() } else { found })
    }

    async fn claim(
        &self,
        worker: WorkerId,
        wanted: &[Wanted],
        places: usize,
        term: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let more = u64::from(self.mistaken(Mistake::CeilingOffByOne));
        let wanted: Vec<_> =
            wanted.iter().map(|it| Wanted { at_once: it.at_once.saturating_add(more), ..*it }).collect();
        self.over("claim", async {
            let claims = self.truth.claim(worker, &wanted, places, term).await?;
            for (wanted, claim) in wanted.iter().zip(&claims) {
                self.link.world.note(format_args!("  {} {claim:?}", wanted.run));
                if let Claim::Held(lease) = claim {
                    let times = (self.now(), self.until(term));
                    self.link.world.watch.given(wanted.tenant, *lease, times);
                }
            }
            Ok(claims)
        })
        .await
    }

    async fn take(
        &self,
        tenant: &Tenant<'_>,
        worker: WorkerId,
        run: RunId,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        self.over("take", async {
            let taken = self.truth.take(tenant, worker, run, term).await?;
            if let Some(lease) = taken {
                self.link.world.watch.taken(tenant.id(), lease, self.until(term));
            }
            Ok(taken)
        })
        .await
    }

    async fn renew(&self, held: &[(TenantId, Lease)], term: Duration) -> Result<Vec<Lease>, StoreError> {
        let lost = self.over("renew", async {
            let lost = self.truth.renew(held, term).await?;
            for (tenant, lease) in held.iter().filter(|(_, lease)| !lost.contains(lease)) {
                self.link.world.watch.renewed(*tenant, *lease, self.until(term));
            }
            Ok(lost)
        });
        let lost = lost.await?;
        Ok(if self.mistaken(Mistake::LossHidden) { Vec::new() } else { lost })
    }

    async fn release(&self, held: &[(TenantId, Lease)]) -> Result<(), StoreError> {
        self.over("release", async {
            self.truth.release(held).await?;
            held.iter().for_each(|(tenant, lease)| self.link.world.watch.released(*tenant, *lease));
            Ok(())
        })
        .await
    }

    async fn revoke(&self, operator: &Operator, tenant: TenantId) -> Result<(), StoreError> {
        self.over("revoke", self.truth.revoke(operator, tenant)).await
    }

    async fn pause(
        &self,
        operator: &Operator,
        tenant: TenantId,
        by: WorkerId,
        term: Duration,
    ) -> Result<(), StoreError> {
        self.over("pause", self.truth.pause(operator, tenant, by, term)).await
    }

    async fn resume(&self, operator: &Operator, tenant: TenantId, by: WorkerId) -> Result<(), StoreError> {
        self.over("resume", self.truth.resume(operator, tenant, by)).await
    }

    async fn held(&self, operator: &Operator, tenant: TenantId) -> Result<u64, StoreError> {
        self.over("held", Leases::held(&self.truth, operator, tenant)).await
    }
}
