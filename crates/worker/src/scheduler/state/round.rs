//! What is asked for at once. This process chooses by what it has waiting; where somebody has to wait, the store chooses
//! among several tenants' runs, by what each has been given by all processes.

use super::{State, Whereabouts};
use crate::scheduler::{Broken, Job, Round};
use env::Timestamp;
use ids::TenantId;
use std::collections::HashSet;

/// How many further tenants' runs compete for places that have become free.
const RIVALS: usize = 8;

impl State {
    /// All that can be started. Where that takes the last place, further tenants' runs compete for it.
    pub(in crate::scheduler) fn round(&mut self, now: Timestamp) -> Round {
        let mut starts = Vec::new();
        while let Some(start) = self.next(now) {
            starts.push(start);
        }
        let places = starts.iter().filter(|start| start.held && !start.certain).count();
        if places > 0 && self.held >= self.settings.runs {
            let competing: HashSet<TenantId> = starts.iter().map(|start| start.job.tenant).collect();
            let lanes = &self.lanes;
            let eligible = |tenant: &TenantId| {
                !competing.contains(tenant) && lanes.get(tenant).is_some_and(|lane| lane.may_start())
            };
            let rivals: Vec<_> = self.queue.heads(RIVALS, eligible);
            starts.extend(rivals.into_iter().filter_map(|(_, run)| self.begin(run, false)));
        }
        Round { starts, places }
    }

    /// Puts a run back to where it waited, before its tenant's others.
    pub(super) fn put_back(&mut self, job: Job, broken: Option<Broken>) {
        let weight = self.lane(job.tenant).weight;
        if let Some(known) = self.runs.get_mut(&job.run) {
            (known.place, known.broken) = (Whereabouts::Queued, broken);
            self.queue.put_back(job.tenant, weight, job.run);
        }
    }
}
