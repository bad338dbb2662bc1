//! [`LocalLeases`]: leases where one process has the store for itself.

use context::{Lease, Tenant};
use env::Timestamp;
use ids::{Id as _, RunId, TenantId, WorkerId};
use metering::turns::{Candidate, Turns};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Claim, PendingWork, StoreError, Wanted};

/// Who holds which run. It is in memory alone: when the process ends, nobody holds anything.
#[derive(Default)]
pub struct LocalLeases(Mutex<Held>);

#[derive(Default)]
struct Held {
    runs: HashMap<(TenantId, RunId), Holder>,
    /// Tenants none of whose runs is given to anybody, who said so, and until when.
    paused: HashMap<(TenantId, WorkerId), Timestamp>,
    /// Given to nobody twice, so that it need not be kept for each run.
    last_fence: u64,
    turns: Turns<TenantId>,
}

struct Holder {
    worker: WorkerId,
    fence: u64,
    until: Timestamp,
    revoked: bool,
}

impl Held {
    fn next_fence(&mut self) -> u64 {
        self.last_fence += 1;
        self.last_fence
    }

    fn give(&mut self, (tenant, run): (TenantId, RunId), worker: WorkerId, until: Timestamp) -> Lease {
        let fence = self.next_fence();
        self.runs.insert((tenant, run), Holder { worker, fence, until, revoked: false });
        Lease { run, worker, fence }
    }

    fn count(&self, tenant: TenantId, now: Timestamp) -> u64 {
        self.runs.iter().filter(|((of, _), holder)| *of == tenant && now < holder.until).count() as u64
    }
}

fn candidate(wanted: &Wanted) -> Candidate<TenantId> {
    Candidate { key: wanted.tenant, weight: wanted.weight, certain: wanted.certain }
}

impl LocalLeases {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses what is written under a lease that is lost.
    pub fn permit(&self, tenant: &Tenant<'_>) -> Result<(), StoreError> {
        let Some(lease) = tenant.lease() else { return Ok(()) };
        match self.held().runs.get(&(tenant.id(), lease.run)) {
            Some(holder) if (holder.worker, holder.fence) == (lease.worker, lease.fence) => Ok(()),
            _ => Err(StoreError::LeaseLost),
        }
    }

    /// What of this nobody holds, as [`store::Leases::unheld`] says.
    pub fn unheld(&self, pending: Vec<PendingWork>, bounds: (u32, u32), now: Timestamp) -> Vec<PendingWork> {
        let (held, (of_one, limit)) = (self.held(), bounds);
        let mut taken: HashMap<TenantId, u32> = HashMap::new();
        let is_free = |work: &PendingWork| {
            let place = (work.tenant, RunId::from_bytes(work.id));
            let is_held = held.runs.get(&place).is_some_and(|holder| now < holder.until);
            !is_held && work.due.is_none_or(|due| due <= now)
        };
        let mut fits = |work: &PendingWork| {
            let of_its = taken.entry(work.tenant).or_default();
            *of_its += 1;
            *of_its <= of_one
        };
        pending.into_iter().filter(|work| is_free(work) && fits(work)).take(limit as usize).collect()
    }

    /// As [`store::Leases::claim`] says.
    pub fn claim(
        &self,
        worker: WorkerId,
        (wanted, places): (&[Wanted], usize),
        (now, term): (Timestamp, Duration),
    ) -> Vec<Claim> {
        let mut held = self.held();
        held.paused.retain(|_, until| now < *until);
        let mut counts: HashMap<TenantId, u64> = HashMap::new();
        let claim = |it: &Wanted| {
            let is_held = held.runs.get(&(it.tenant, it.run)).is_some_and(|holder| now < holder.until);
            if is_held || held.paused.keys().any(|(tenant, _)| *tenant == it.tenant) {
                return Claim::Taken;
            }
            let count = counts.entry(it.tenant).or_insert_with(|| held.count(it.tenant, now));
            if *count >= it.at_once {
                return Claim::Full;
            }
            *count += 1;
            Claim::OthersTurn
        };
        let mut claims: Vec<_> = wanted.iter().map(claim).collect();
        let free: Vec<_> = (0..wanted.len()).filter(|number| claims[*number] == Claim::OthersTurn).collect();
        let candidates: Vec<_> = free.iter().map(|number| candidate(&wanted[*number])).collect();
        let chosen = held.turns.choose(&candidates, places);
        for (number, _) in free.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
            let Wanted { tenant, run, .. } = wanted[*number];
            claims[*number] = Claim::Held(held.give((tenant, run), worker, now.plus(term)));
        }
        claims
    }

    /// As [`store::Leases::take`] says, for a run that is under way.
    pub fn take(&self, tenant: TenantId, run: RunId, worker: WorkerId, until: Timestamp) -> Lease {
        self.held().give((tenant, run), worker, until)
    }

    /// As [`store::Leases::renew`] says.
    pub fn renew(&self, leases: &[(TenantId, Lease)], until: Timestamp) -> Vec<Lease> {
        let mut held = self.held();
        let mut lost = Vec::new();
        for (tenant, lease) in leases {
            match held.runs.get_mut(&(*tenant, lease.run)) {
                Some(holder) if (holder.worker, holder.fence) == (lease.worker, lease.fence) => {
                    holder.until = until;
                }
                _ => lost.push(*lease),
            }
        }
        lost
    }

    /// As [`store::Leases::release`] says.
    pub fn release(&self, leases: &[(TenantId, Lease)]) {
        let mut held = self.held();
        for (tenant, lease) in leases {
            let place = (*tenant, lease.run);
            let is_theirs = |holder: &Holder| {
                holder.worker == lease.worker && (holder.fence == lease.fence || holder.revoked)
            };
            if held.runs.get(&place).is_some_and(is_theirs) {
                held.runs.remove(&place);
            }
        }
    }

    /// As [`store::Leases::revoke`] says.
    pub fn revoke(&self, tenant: TenantId) {
        let mut held = self.held();
        let fence = held.next_fence();
        for (_, holder) in held.runs.iter_mut().filter(|((of, _), _)| *of == tenant) {
            (holder.fence, holder.revoked) = (fence, true);
        }
    }

    /// As [`store::Leases::pause`] says.
    pub fn pause(&self, tenant: TenantId, by: WorkerId, until: Timestamp) {
        self.held().paused.insert((tenant, by), until);
    }

    /// As [`store::Leases::resume`] says.
    pub fn resume(&self, tenant: TenantId, by: WorkerId) {
        self.held().paused.remove(&(tenant, by));
    }

    /// As [`store::Leases::held`] says.
    pub fn count(&self, tenant: TenantId, now: Timestamp) -> u64 {
        self.held().count(tenant, now)
    }
}
