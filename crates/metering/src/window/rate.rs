//! Requests a second: a bucket that holds one second's worth and refills all the time.

use super::{Refusal, Standing};
use env::Timestamp;

/// What one request takes out of the bucket, so that it refills by a whole number each millisecond.
const REQUEST: u64 = 1000;
const MILLIS_TO_FULL: u64 = 1000;

/// A rate of requests with one second's worth of burst: any span of `s` seconds admits at most
/// `rate × (s + 1)` requests.
#[derive(Clone, Debug)]
pub struct RequestRate {
    per_second: Option<u64>,
    /// Thousandths of requests.
    held: u64,
    /// When the bucket was last filled up to date.
    at: Timestamp,
}

impl RequestRate {
    /// A full bucket; no rate is unlimited.
    pub fn new(per_second: Option<u64>, now: Timestamp) -> Self {
        Self { per_second, held: capacity(per_second.unwrap_or(0)), at: now }
    }

    /// Changes the rate; what is held stays, up to one second's worth of the new rate.
    pub fn set_rate(&mut self, per_second: Option<u64>, now: Timestamp) {
        self.refill(now);
        let was_unlimited = self.per_second.is_none();
        self.per_second = per_second;
        let capacity = capacity(per_second.unwrap_or(0));
        self.held = if was_unlimited { capacity } else { self.held.min(capacity) };
    }

    /// Where the rate stands.
    pub fn standing(&mut self, now: Timestamp) -> Standing {
        self.refill(now);
        let remaining = self.per_second.map(|_| self.held / REQUEST);
        Standing { limit: self.per_second, remaining, reset_seconds: 1 }
    }

    /// Admits one request, or says when one will be.
    pub fn try_take(&mut self, now: Timestamp) -> Result<Standing, Refusal> {
        let Some(rate) = self.per_second else {
            return Ok(self.standing(now));
        };
        self.refill(now);
        if self.held < REQUEST {
            return Err(Refusal { limit: rate, remaining: 0, retry_after_seconds: 1 });
        }
        self.held -= REQUEST;
        Ok(self.standing(now))
    }

    /// Whether the bucket is full, so that it need not be kept.
    pub fn is_idle(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        self.per_second.is_none_or(|rate| self.held == capacity(rate))
    }

    fn refill(&mut self, now: Timestamp) {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let rate = self.per_second.unwrap_or(0);
        self.held = self.held.saturating_add(rate.saturating_mul(elapsed)).min(capacity(rate));
        // A clock that steps back a little must not refill the same moment twice; one that had leapt ahead
        // must not stop the refill until it gets there again.
        let leapt = self.at.since(now).as_millis() > u128::from(MILLIS_TO_FULL);
        if now > self.at || leapt {
            self.at = now;
        }
    }
}

fn capacity(rate: u64) -> u64 {
    rate.saturating_mul(REQUEST)
}
