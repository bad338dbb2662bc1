//! Slows down whoever guesses: after twenty failures a minute from one address with one claimed key, each
//! further failing answer waits a little. A valid credential's answer never does.

use env::Timestamp;
use ids::KeyId;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const FREE_FAILURES: u32 = 20;
const WINDOW_MILLIS: i64 = 60_000;
const DELAY: Duration = Duration::from_millis(250);
/// Bounds the memory. Guessers beyond it are counted as one, so that filling it up helps nobody.
const MAX_GUESSERS: usize = 10_000;
/// Bounds the answers held back. Beyond it they are given at once: guessers cost us nothing more.
const MAX_WAITING: usize = 1_000;

#[derive(Default)]
pub(crate) struct Throttle {
    failures: Mutex<Failures>,
    waiting: AtomicUsize,
}

/// Who fails: an address and the key id that it claims.
type Guesser = (Option<IpAddr>, Option<KeyId>);

/// The failures of one minute.
#[derive(Default)]
struct Failures {
    since: Option<Timestamp>,
    counts: HashMap<Guesser, u32>,
    beyond: u32,
}

impl Throttle {
    /// Notes a failure, and holds the answer back where there were too many.
    pub(crate) async fn failed(&self, ip: Option<IpAddr>, claimed: Option<KeyId>, now: Timestamp) {
        let count = match self.failures.lock() {
            Ok(mut failures) => failures.count((ip.map(subscriber_network), claimed), now),
            Err(_) => return,
        };
        if count > FREE_FAILURES
            && let Some(_place) = Waiting::take(&self.waiting)
        {
            tokio::time::sleep(DELAY).await;
        }
    }
}

impl Failures {
    fn count(&mut self, guesser: Guesser, now: Timestamp) -> u32 {
        // A clock that was set back begins a new minute too; otherwise the old one would not end.
        let same_minute =
            self.since.is_some_and(|since| (0..WINDOW_MILLIS).contains(&(now.millis() - since.millis())));
        if !same_minute {
            *self = Self { since: Some(now), ..Self::default() };
        }
        let full = self.counts.len() >= MAX_GUESSERS;
        let count = match self.counts.get_mut(&guesser) {
            Some(count) => count,
            None if full => &mut self.beyond,
            None => self.counts.entry(guesser).or_default(),
        };
        *count = count.saturating_add(1);
        *count
    }
}

/// The address, or the network that one subscriber has: with IPv6 that is at least a /64 (RFC 6177).
pub fn subscriber_network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
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
    use super::{DELAY, MAX_GUESSERS, MAX_WAITING, Throttle};
    use env::{Env, Timestamp};
    use futures::future::join_all;
    use ids::KeyId;
    use std::net::IpAddr;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use tokio::time::Instant;

    const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(START.millis() + seconds * 1000)
    }

    /// How long the answer to one more failure is held back.
    async fn held(throttle: &Throttle, ip: &str, key: Option<KeyId>, now: Timestamp) -> Duration {
        let begun = Instant::now();
        throttle.failed(Some(ip.parse().unwrap()), key, now).await;
        begun.elapsed()
    }

    async fn fail_freely(throttle: &Throttle, ip: &str, key: Option<KeyId>) {
        for _ in 0..20 {
            assert_eq!(held(throttle, ip, key, START).await, Duration::ZERO);
        }
    }

    fn keys(count: usize) -> Vec<KeyId> {
        let env = Env::fixed(START, 1).0;
        (0..count).map(|_| env.id()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_twenty_first_failure_in_a_minute_waits_and_others_do_not() {
        let throttle = Throttle::default();
        let key = keys(1).pop();
        fail_freely(&throttle, "192.0.2.1", key).await;
        assert_eq!(held(&throttle, "192.0.2.1", key, START).await, DELAY);
        assert_eq!(held(&throttle, "192.0.2.1", key, at(59)).await, DELAY);
        assert_eq!(held(&throttle, "192.0.2.2", key, START).await, Duration::ZERO);
        assert_eq!(held(&throttle, "192.0.2.1", None, START).await, Duration::ZERO);
        assert_eq!(held(&throttle, "192.0.2.1", key, at(60)).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_begins_anew() {
        let throttle = Throttle::default();
        fail_freely(&throttle, "192.0.2.1", None).await;
        assert_eq!(held(&throttle, "192.0.2.1", None, at(-3600)).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn other_addresses_of_one_network_do_not_help() {
        let throttle = Throttle::default();
        fail_freely(&throttle, "2001:db8::1", None).await;
        assert_eq!(held(&throttle, "2001:db8::ffff:1", None, START).await, DELAY);
        assert_eq!(held(&throttle, "2001:db8:0:1::1", None, START).await, Duration::ZERO);
        fail_freely(&throttle, "192.0.2.1", None).await;
        assert_eq!(held(&throttle, "::ffff:192.0.2.1", None, START).await, DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn filling_the_memory_does_not_help() {
        let throttle = Throttle::default();
        for key in keys(MAX_GUESSERS + 20) {
            assert_eq!(held(&throttle, "192.0.2.1", Some(key), START).await, Duration::ZERO);
        }
        assert_eq!(throttle.failures.lock().unwrap().counts.len(), MAX_GUESSERS);
        assert_eq!(held(&throttle, "192.0.2.9", None, START).await, DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answers_held_back_are_bounded_and_give_their_places_up() {
        let throttle = Throttle::default();
        fail_freely(&throttle, "192.0.2.1", None).await;
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let begun = Instant::now();
        let waiting = join_all((0..MAX_WAITING).map(|_| throttle.failed(Some(ip), None, START)));
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(throttle.waiting.load(Ordering::SeqCst), MAX_WAITING);
        throttle.failed(Some(ip), None, START).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        waiting.await;
        assert_eq!((begun.elapsed(), throttle.waiting.load(Ordering::SeqCst)), (DELAY, 0));

        let left = throttle.failed(Some(ip), None, START);
        assert!(tokio::time::timeout(DELAY / 2, left).await.is_err());
        assert_eq!(throttle.waiting.load(Ordering::SeqCst), 0);
    }
}
