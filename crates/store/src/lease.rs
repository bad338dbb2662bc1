//! Leases on runs: of all processes that work on one store, each run is carried out by one.
//!
//! A lease ends by itself where it is not renewed, so that the runs of a process that died, hangs or is cut off go on
//! elsewhere. Times are the store's own: the clocks of those who hold leases do not matter.

use crate::{PendingWork, StoreError};
use async_trait::async_trait;
use context::{Lease, Operator, Tenant};
use ids::{RunId, TenantId, WorkerId};
use std::num::NonZeroU32;
use std::time::Duration;

/// A run that a worker would like to carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its tenant: to be admitted as a system principal before anything is read.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// How many runs of the tenant may be carried out at once.
    pub at_once: u64,
    /// The tenant's share where its runs compete with others'.
    pub weight: NonZeroU32,
    /// Whether there is a place for it in any case, so that it competes with none.
    pub certain: bool,
}

/// What asking for a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the worker's now.
    Held(Lease),
    /// As many of the tenant's runs are being carried out as may be.
    Full,
    /// There was no place for it: those that there were went to runs of other tenants, whose turn it was.
    OthersTurn,
    /// Somebody else has it, or it is not under way.
    Taken,
}

/// Gives runs to workers.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Whether other processes work on this store, too.
    fn shared(&self) -> bool;

    /// Runs that are due and that nobody holds: the oldest of each tenant, at most `of_one`, and at most `limit`.
    async fn unheld(&self, of_one: u32, limit: u32) -> Result<Vec<PendingWork>, StoreError>;

    /// Asks for runs, the first of a tenant before its others, and says what came of each. How many of a tenant's are
    /// held, and whose turn it is where there are fewer `places` than would take one, is counted in the transaction
    /// that gives them: over all processes, tenants start runs as their weights say ([`metering::turns`]).
    async fn claim(
        &self,
        worker: WorkerId,
        wanted: &[Wanted],
        places: usize,
        term: Duration,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Takes a run that is under way from whoever has it, for an order that cannot wait.
    async fn take(
        &self,
        tenant: &Tenant<'_>,
        worker: WorkerId,
        run: RunId,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError>;

    /// Holds on to leases for another term; gives back those that are lost.
    async fn renew(&self, held: &[(TenantId, Lease)], term: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Lets go of leases, those that were taken away among them. Those that somebody else has by now stay as they are.
    async fn release(&self, held: &[(TenantId, Lease)]) -> Result<(), StoreError>;

    /// Takes all runs of a tenant away from whoever has them, and gives them to nobody.
    async fn revoke(&self, operator: &Operator, tenant: TenantId) -> Result<(), StoreError>;

    /// Gives no run of a tenant's to whoever claims one, those that are made meanwhile included, for as long as this. Said
    /// again it lasts from then on, so that it ends by itself where whoever said so, `by`, is no more. Leases that there
    /// are stay as they are.
    async fn pause(
        &self,
        operator: &Operator,
        tenant: TenantId,
        by: WorkerId,
        term: Duration,
    ) -> Result<(), StoreError>;

    /// Ends the pause that the same has said.
    async fn resume(&self, operator: &Operator, tenant: TenantId, by: WorkerId) -> Result<(), StoreError>;

    /// How many of a tenant's runs somebody may still be acting on: leases that were neither let go of nor have ended.
    async fn held(&self, operator: &Operator, tenant: TenantId) -> Result<u64, StoreError>;
}
