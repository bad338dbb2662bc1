//! Bounds of the worker.

use std::time::Duration;

/// How much is carried out and kept waiting at once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Admitted runs of all tenants.
    pub runs: usize,
    /// Further places for tenants that have no run admitted, so that nobody waits for others' runs to end.
    pub first_runs: usize,
    /// Admitted runs of one tenant, however many its limits allow: as many as it has places for steps, beyond
    /// which a run would hold its place and do nothing.
    pub runs_per_tenant: usize,
    /// Runs of one tenant that wait for a place.
    pub queued_per_tenant: usize,
    /// Runs of all tenants that wait for a place.
    pub queued: usize,
    /// Runs of one tenant that are not over, those that wait for a time among them.
    pub unfinished_per_tenant: usize,
    /// Runs of all tenants that are not over.
    pub unfinished: usize,
    /// Runs that a tenant may have, not over, although those of all tenants together are too many.
    pub guaranteed_per_tenant: usize,
    /// Steps of all tenants under way.
    pub steps: usize,
    /// Further places for tenants that have no step under way.
    pub first_steps: usize,
    /// Steps of one tenant under way, so that its slow upstreams hold no more.
    pub steps_per_tenant: usize,
    /// How long steps under way may take to end when the server drains.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            runs: 256,
            first_runs: 1_024,
            runs_per_tenant: 32,
            queued_per_tenant: 1_000,
            queued: 50_000,
            unfinished_per_tenant: 10_000,
            unfinished: 500_000,
            guaranteed_per_tenant: 20,
            steps: 512,
            first_steps: 1_024,
            steps_per_tenant: 32,
            drain: Duration::from_secs(10),
        }
    }
}
