//! How much of something a span of time may hold: a window that slides, so that no border can be burst
//! twice, and a rate a second for requests.

mod rate;
#[cfg(test)]
mod tests;

pub use rate::RequestRate;

use env::Timestamp;
use errors::{Code, Problem};
use std::collections::VecDeque;
use std::time::Duration;

/// The coarsest step in which a window forgets. A use counts until its whole step has left the window, so
/// it counts at most this much longer than it must, and never shorter.
const MAX_STEP: Duration = Duration::from_secs(10);
/// Steps that a window has at least. Short windows forget in finer steps.
const MIN_STEPS: u32 = 60;

/// How much may be used in any span of this length; no limit is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The most that any span may hold.
    pub limit: Option<u64>,
    /// The span's length.
    pub span: Duration,
}

impl Window {
    /// So much in any hour.
    pub const fn hourly(limit: Option<u64>) -> Self {
        Self { limit, span: Duration::from_secs(3600) }
    }
}

/// Where a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The most that any span may hold; `None` is unlimited.
    pub limit: Option<u64>,
    /// What is left of it now; `None` is unlimited.
    pub remaining: Option<u64>,
    /// Seconds until more becomes free; the whole span where nothing is used.
    pub reset_seconds: u64,
}

/// The limit does not admit this now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {limit} is reached; {remaining} are left, more in {retry_after_seconds} seconds")]
pub struct Refusal {
    /// The most that any span may hold.
    pub limit: u64,
    /// What is left, less than was asked for.
    pub remaining: u64,
    /// Seconds after which what was asked for fits, if nothing else is used meanwhile. Where it is more than
    /// the limit and never fits, the whole span.
    pub retry_after_seconds: u64,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { limit, remaining, retry_after_seconds } = refusal;
        Self::new(Code::RateLimited, format!("The limit of {limit} is reached. Windows slide; retry later."))
            .with("limit", limit)
            .with("remaining", remaining)
            .retry_after(retry_after_seconds)
    }
}

/// What was used in one step.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// The step's first millisecond.
    start: i64,
    used: u64,
}

/// The uses of a sliding window. Holds one small entry for each step in which something was used.
///
/// The clock may step back: the window then stays at the latest time it has seen, so that nothing becomes
/// free early. After a step of more than a span (the clock had leapt ahead, and is right again) it goes back
/// too, and what was used meanwhile is dated to the present.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    window: Window,
    /// Ordered by start.
    buckets: VecDeque<Bucket>,
    used: u64,
    /// The latest moment seen, in milliseconds.
    latest: i64,
}

impl SlidingWindow {
    /// A window in which nothing is used.
    pub fn new(window: Window) -> Self {
        Self { window, buckets: VecDeque::new(), used: 0, latest: i64::MIN }
    }

    /// The window's limit and span.
    pub fn window(&self) -> Window {
        self.window
    }

    /// Changes the limit; what was used stays counted.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        self.window.limit = limit;
    }

    /// Uses `amount` now, or says when it will fit. A refusal uses nothing.
    pub fn try_take(&mut self, now: Timestamp, amount: u64) -> Result<Standing, Refusal> {
        let now = self.forget(now);
        if let Some(limit) = self.window.limit {
            let remaining = limit.saturating_sub(self.used);
            if amount > remaining {
                let retry_after_seconds = self.seconds_until_fits(now, limit, amount);
                return Err(Refusal { limit, remaining, retry_after_seconds });
            }
        }
        self.add(now, amount);
        Ok(self.as_of(now))
    }

    /// Where the window stands.
    pub fn standing(&mut self, now: Timestamp) -> Standing {
        let now = self.forget(now);
        self.as_of(now)
    }

    /// Counts a use of the past without asking the limit: what a durable record says was used.
    pub fn record(&mut self, at: Timestamp, amount: u64) {
        self.add(at.millis(), amount);
    }

    /// The uses that still count, by the time from which their step began, oldest first: what
    /// [`SlidingWindow::record`] restores.
    pub fn uses(&self) -> impl Iterator<Item = (Timestamp, u64)> {
        self.buckets.iter().map(|bucket| (Timestamp::from_millis(bucket.start), bucket.used))
    }

    /// Whether nothing counts any more, so that the window need not be kept.
    pub fn is_idle(&mut self, now: Timestamp) -> bool {
        self.forget(now);
        self.buckets.is_empty()
    }

    fn as_of(&self, now: i64) -> Standing {
        let limit = self.window.limit;
        let reset_seconds = match self.buckets.front() {
            Some(oldest) => self.seconds_until_free(now, *oldest),
            None => seconds_rounded_up(self.span()),
        };
        Standing { limit, remaining: limit.map(|limit| limit.saturating_sub(self.used)), reset_seconds }
    }

    fn span(&self) -> i64 {
        i64::try_from(self.window.span.as_millis()).unwrap_or(i64::MAX)
    }

    fn step(&self) -> i64 {
        let step = (self.window.span / MIN_STEPS).min(MAX_STEP);
        i64::try_from(step.as_millis()).unwrap_or(1).max(1)
    }

    /// When a bucket's last possible use has left the window.
    fn free_at(&self, bucket: Bucket) -> i64 {
        bucket.start.saturating_add(self.step()).saturating_add(self.span())
    }

    fn seconds_until_free(&self, now: i64, bucket: Bucket) -> u64 {
        let wait = self.free_at(bucket).saturating_sub(now);
        // The last step's surplus is ours, not the caller's: no more than the span is shown.
        seconds_rounded_up(wait.min(self.span())).max(1)
    }

    fn seconds_until_fits(&self, now: i64, limit: u64, amount: u64) -> u64 {
        let mut used = self.used;
        for bucket in &self.buckets {
            used = used.saturating_sub(bucket.used);
            if amount <= limit.saturating_sub(used) {
                return seconds_rounded_up(self.free_at(*bucket).saturating_sub(now)).max(1);
            }
        }
        seconds_rounded_up(self.span()).max(1)
    }

    /// Drops what no longer counts and gives the moment, in milliseconds, as the window sees it.
    fn forget(&mut self, now: Timestamp) -> i64 {
        let leapt = self.latest.saturating_sub(now.millis()) > self.span();
        self.latest = if leapt { now.millis() } else { self.latest.max(now.millis()) };
        while let Some(oldest) = self.buckets.front().copied() {
            if self.free_at(oldest) > self.latest {
                break;
            }
            self.used = self.used.saturating_sub(oldest.used);
            self.buckets.pop_front();
        }
        let horizon = self.latest.saturating_add(self.span());
        while let Some(ahead) = self.buckets.pop_back_if(|newest| newest.start > horizon) {
            self.used = self.used.saturating_sub(ahead.used);
            self.add(self.latest, ahead.used);
        }
        self.latest
    }

    fn add(&mut self, at: i64, amount: u64) {
        if amount == 0 {
            return;
        }
        self.used = self.used.saturating_add(amount);
        let start = at - at.rem_euclid(self.step());
        let place = self.buckets.iter().rposition(|bucket| bucket.start <= start);
        match place.and_then(|place| self.buckets.get_mut(place)).filter(|bucket| bucket.start == start) {
            Some(bucket) => bucket.used = bucket.used.saturating_add(amount),
            None => self.buckets.insert(place.map_or(0, |place| place + 1), Bucket { start, used: amount }),
        }
    }
}

fn seconds_rounded_up(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0).div_ceil(1000)
}
