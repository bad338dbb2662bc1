//! [`Lease`]: that a run is one worker's for a while.

use ids::{RunId, WorkerId};

/// What a worker carries a run out under. Whoever has lost it writes nothing in its visit any more, but the outcome of
/// what has happened already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// Whose it is.
    pub worker: WorkerId,
    /// Counts how often the run was given to somebody: what was given before is refused.
    pub fence: u64,
}
