//! Leases and the steps of runs, as the store gives and keeps them.

use super::{Promise, Watch};
use context::Lease;
use ids::{RunId, TenantId};

/// A lease as the store gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    lease: Lease,
    /// When it ends, in milliseconds since the beginning.
    until: i64,
}

impl Watch {
    /// The store gave a run to a worker that had asked for it.
    pub(crate) fn given(&self, tenant: TenantId, lease: Lease, (now, until): (i64, i64)) {
        let mut seen = self.seen();
        let before = seen.held.insert((tenant, lease.run), Held { lease, until });
        seen.tally.taken_over += u32::from(before.is_some());
        if before.is_some_and(|before| now < before.until) {
            seen.find(
                Promise::EffectOnce,
                format!("{} was given to somebody while another had it", lease.run),
            );
        }
        let held = seen.held.iter().filter(|((of, _), held)| *of == tenant && now < held.until).count();
        let most = seen.tenants.get(&tenant).map_or(usize::MAX, |expected| expected.runs);
        if held > most {
            seen.find(
                Promise::Ceilings,
                format!("{held} runs of {tenant} are carried out at once, {most} may be"),
            );
        }
    }

    /// The store took a run from whoever had it, for an order.
    pub(crate) fn taken(&self, tenant: TenantId, lease: Lease, until: i64) {
        let mut seen = self.seen();
        seen.held.insert((tenant, lease.run), Held { lease, until });
        seen.taken.insert(lease.run, lease.fence);
    }

    /// The store put the end of a lease off.
    pub(crate) fn renewed(&self, tenant: TenantId, lease: Lease, until: i64) {
        let mut seen = self.seen();
        match seen.held.get_mut(&(tenant, lease.run)) {
            Some(held) if held.lease == lease => held.until = until,
            _ => seen.find(
                Promise::EffectOnce,
                format!("the lost lease {} on {} was renewed", lease.fence, lease.run),
            ),
        }
    }

    /// A worker let go of a run.
    pub(crate) fn released(&self, tenant: TenantId, lease: Lease) {
        let mut seen = self.seen();
        if seen.held.get(&(tenant, lease.run)).is_some_and(|held| held.lease == lease) {
            seen.held.remove(&(tenant, lease.run));
        }
    }

    /// Something was to be written in a visit under a lease, and was refused because it is lost, or not.
    pub(crate) fn wrote(&self, (tenant, lease): (TenantId, Option<Lease>), what: &str, refused: bool) {
        let Some(lease) = lease else { return };
        let mut seen = self.seen();
        if refused {
            seen.tally.fenced += 1;
            return;
        }
        if seen.held.get(&(tenant, lease.run)).is_none_or(|held| held.lease != lease) {
            let text =
                format!("{what} of {} came past the fence under the lost lease {}", lease.run, lease.fence);
            seen.find(Promise::EffectOnce, text);
        }
    }

    /// It is durable that a step has succeeded.
    pub(crate) fn succeeded(&self, run: RunId, node: &str) {
        self.seen().succeeded.insert((run, node.to_owned()));
    }

    /// A call for a step leaves a worker.
    pub(crate) fn leaves(&self, (tenant, lease): (TenantId, Option<Lease>), step: &str, now: i64) {
        let mut seen = self.seen();
        let Some(lease) = lease else {
            return seen.find(Promise::EffectOnce, format!("a call for {step} left without a lease"));
        };
        let run = lease.run;
        if seen.succeeded.contains(&(run, step.to_owned())) {
            seen.find(Promise::EffectOnce, format!("a call for {step} of {run} left, which had succeeded"));
        }
        let is_held =
            seen.held.get(&(tenant, run)).is_some_and(|held| held.lease == lease && now < held.until);
        // Whoever lost it to an order after the call's beginning was durable learns of that with the next renewal.
        let was_taken = seen.taken.get(&run).is_some_and(|fence| lease.fence < *fence);
        if !is_held && !was_taken {
            let text = format!("a call for {step} of {run} left under the lost lease {}", lease.fence);
            seen.find(Promise::EffectOnce, text);
        }
    }
}
