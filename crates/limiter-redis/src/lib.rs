//! Limits kept in Redis, for several servers on the same stores.
//!
//! One script decides, in one round trip, as the limiter of one process does. What stands in Redis is ids,
//! counters and times; it can be lost at any time and is restored from the tenants' rows. Each run of Redis that
//! begins with nothing, or with what an earlier run left, is an epoch of its own: nothing is admitted in it before
//! every server has told which calls it has under way, or a while has passed in which their rows are written.
//!
//! While there is no Redis nothing is admitted, but of tenants whose plan says so: of what is left each server has a
//! share, which `share` and `outage` tell more of.

mod address;
mod answers;
mod flights;
mod limiter;
mod link;
mod local;
mod memory;
mod outage;
mod pack;
mod restore;
mod share;

pub use address::{Address, UnfitAddress};
pub use limiter::RedisLimiter;
pub use memory::Memory;

use std::num::NonZeroU32;
use std::time::Duration;

/// Whose clock says when a use leaves a window and a lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Redis's own, the same for all servers however theirs differ.
    Redis,
    /// The caller's, for tests in which time is an argument.
    Caller,
}

/// How limits are kept, and how long anybody waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Model calls of one tenant under way at once, on all servers together.
    pub parallel_model_calls: u64,
    /// Servers that there are.
    pub servers: NonZeroU32,
    /// How long what is kept of an idle tenant stays.
    pub idle: Duration,
    /// How long after a call's lease its row may take to tell how it ended.
    pub lease_margin: Duration,
    /// How long one command may take; then Redis counts as gone for it.
    pub command: Duration,
    /// How long servers have to tell of calls under way after Redis lost what it kept.
    pub grace: Duration,
    /// How long ago Redis's address may have refused a connection that it still counts as gone for sure. Less than
    /// `grace`, after which servers that are back count without those that are not.
    pub proof: Duration,
    /// How long a call waits for a tenant's state to be restored before it is refused.
    pub patience: Duration,
    /// Whose clock decides.
    pub time: Time,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parallel_model_calls: 256,
            servers: NonZeroU32::MIN,
            idle: Duration::from_secs(7200),
            lease_margin: Duration::from_secs(60),
            command: Duration::from_millis(250),
            grace: Duration::from_secs(2),
            proof: Duration::from_secs(1),
            patience: Duration::from_secs(5),
            time: Time::Redis,
        }
    }
}
