//! Whether one more run may wait. A tenant's own bounds come first; those of all tenants together leave each
//! a number of runs, so that none keeps the others out by filling them.

use super::State;
use errors::{Code, Problem};
use ids::TenantId;
use metering::plan::Limits;

impl State {
    pub(in crate::scheduler) fn reserve(&mut self, tenant: TenantId, limits: &Limits) -> Result<(), Problem> {
        if self.draining {
            return Err(Problem::new(Code::Unavailable, "The server is stopping. Try again.").retry_after(1));
        }
        self.room(tenant)?;
        self.lane(tenant).reserved += 1;
        self.reserved += 1;
        self.set_limits(tenant, limits);
        Ok(())
    }

    /// Whether one more run of the tenant may wait.
    pub(super) fn room(&self, tenant: TenantId) -> Result<(), Problem> {
        let (reserved, unfinished) =
            self.lanes.get(&tenant).map_or((0, 0), |lane| (lane.reserved, lane.unfinished));
        let full = |what: &str, limit: usize| {
            let detail = format!("{limit} runs {what}, as many as there may be.");
            Problem::new(Code::ConcurrencyLimited, detail).with("limit", limit).retry_after(5)
        };
        if self.queue.len_of(&tenant) + reserved >= self.settings.queued_per_tenant {
            return Err(full("of this tenant wait for a place", self.settings.queued_per_tenant));
        }
        if unfinished + reserved >= self.settings.unfinished_per_tenant {
            return Err(full("of this tenant are not over", self.settings.unfinished_per_tenant));
        }
        if unfinished + reserved < self.settings.guaranteed_per_tenant {
            return Ok(());
        }
        let queued = self.queue.len() + self.reserved >= self.settings.queued;
        if queued || self.runs.len() + self.reserved >= self.settings.unfinished {
            let detail = "The server has as many runs waiting as it takes.";
            return Err(Problem::new(Code::ConcurrencyLimited, detail).retry_after(5));
        }
        Ok(())
    }

    pub(in crate::scheduler) fn give_back(&mut self, tenant: TenantId) {
        self.reserved = self.reserved.saturating_sub(1);
        let lane = self.lane(tenant);
        lane.reserved = lane.reserved.saturating_sub(1);
        self.tidy(tenant);
    }
}
