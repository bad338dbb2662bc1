//! Slows down whoever guesses: after twenty failures a minute from one address with one claimed key, each
//! further failing answer waits a little. A valid credential's answer never does.

use env::Timestamp;
use ids::KeyId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Who fails: an address and the key id that it claims.
pub(crate) type Guesser = (Option<IpAddr>, Option<KeyId>);

const FREE_FAILURES: u32 = 20;
const WINDOW_MILLIS: i64 = 60_000;
const DELAY: Duration = Duration::from_millis(250);
/// Bounds of memory and of answers held back: beyond them guessers are not slowed, and nobody else is.
const MAX_GUESSERS: usize = 10_000;
const MAX_WAITING: usize = 1_000;

#[derive(Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Guesser, Failures>>,
    waiting: AtomicUsize,
}

struct Failures {
    since: Timestamp,
    count: u32,
}

impl Throttle {
    /// Notes a failure, and holds the answer back where there were too many.
    pub(crate) async fn failed(&self, guesser: Guesser, now: Timestamp) {
        if self.count(guesser, now) <= FREE_FAILURES {
            return;
        }
        let _place = match Waiting::take(&self.waiting) {
            Some(place) => place,
            None => return,
        };
        tokio::time::sleep(DELAY).await;
    }

    fn count(&self, guesser: Guesser, now: Timestamp) -> u32 {
        let Ok(mut failures) = self.failures.lock() else { return 0 };
        if failures.len() >= MAX_GUESSERS && !failures.contains_key(&guesser) {
            failures.retain(|_, seen| now.millis() - seen.since.millis() < WINDOW_MILLIS);
            if failures.len() >= MAX_GUESSERS {
                return 0;
            }
        }
        let seen = failures.entry(guesser).or_insert(Failures { since: now, count: 0 });
        if now.millis() - seen.since.millis() >= WINDOW_MILLIS {
            *seen = Failures { since: now, count: 0 };
        }
        seen.count = seen.count.saturating_add(1);
        seen.count
    }
}

/// One of the bounded places for answers that are held back; given up also when the caller goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let taken = waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| {
            (count < MAX_WAITING).then_some(count + 1)
        });
        taken.ok().map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{DELAY, Throttle};
    use env::Timestamp;
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn the_twenty_first_failure_in_a_minute_waits_and_others_do_not() {
        let throttle = Throttle::default();
        let now = Timestamp::from_millis(0);
        let guesser = (Some([127, 0, 0, 1].into()), None);
        let begun = Instant::now();
        for _ in 0..20 {
            throttle.failed(guesser, now).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        throttle.failed(guesser, now).await;
        assert_eq!(begun.elapsed(), DELAY);
        throttle.failed((Some([127, 0, 0, 2].into()), None), now).await;
        throttle.failed(guesser, Timestamp::from_millis(60_000)).await;
        assert_eq!(begun.elapsed(), DELAY);
    }
}
