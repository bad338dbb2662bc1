//! The real clock and the real randomness: the one place that touches them.

use env::{Clock, Env, Rng, Timestamp};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes in")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

struct SystemRng;

impl Rng for SystemRng {
    #[expect(clippy::disallowed_methods, reason = "this is where the randomness comes in")]
    #[expect(clippy::expect_used, reason = "without randomness no key may be made, and nothing may go on")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives no randomness");
    }
}

/// The system's clock and randomness.
pub(crate) fn env() -> Env {
    Env::new(Arc::new(SystemClock), Arc::new(SystemRng))
}
