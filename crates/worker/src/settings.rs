//! Bounds of the worker.

use std::time::Duration;

/// How much is carried out and kept waiting at once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Admitted runs of all tenants. How many one tenant has, its limits say.
    pub runs: usize,
    /// Runs of one tenant that wait for a place.
    pub queued_per_tenant: usize,
    /// Runs of all tenants that wait for a place.
    pub queued: usize,
    /// Runs of one tenant that are not over, those that wait for a time among them.
    pub unfinished_per_tenant: usize,
    /// Steps of all tenants under way.
    pub steps: usize,
    /// Steps of one tenant under way, so that its slow upstreams hold no more.
    pub steps_per_tenant: usize,
    /// How long steps under way may take to end when the server drains.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            runs: 256,
            queued_per_tenant: 1_000,
            queued: 50_000,
            unfinished_per_tenant: 10_000,
            steps: 512,
            steps_per_tenant: 16,
            drain: Duration::from_secs(10),
        }
    }
}
