//! [`Lane`]: what the scheduler keeps of one tenant.

use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What is kept of a tenant as long as it has runs that are not over.
pub(super) struct Lane {
    /// Runs that may be admitted at once.
    pub(super) limit: u64,
    /// Runs that may be carried out at once by all processes together.
    pub(super) at_once: u64,
    pub(super) weight: NonZeroU32,
    pub(super) held: u64,
    pub(super) reserved: usize,
    pub(super) unfinished: usize,
    pub(super) suspended: bool,
    pub(super) steps: Arc<Semaphore>,
    pub(super) upserts: Arc<tokio::sync::Mutex<()>>,
}

impl Lane {
    /// A lane with room for so many steps. Until its limits are known it has one place.
    pub(super) fn new(steps: usize) -> Self {
        Self {
            limit: 1,
            at_once: 1,
            weight: NonZeroU32::MIN,
            held: 0,
            reserved: 0,
            unfinished: 0,
            suspended: false,
            steps: Arc::new(Semaphore::new(steps)),
            upserts: Arc::default(),
        }
    }

    /// Whether a run of it may begin.
    pub(super) fn may_start(&self) -> bool {
        !self.suspended && self.held < self.limit
    }

    /// Whether nothing needs it.
    pub(super) fn is_idle(&self) -> bool {
        self.unfinished == 0 && self.reserved == 0 && self.held == 0
    }
}
