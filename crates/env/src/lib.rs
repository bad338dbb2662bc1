//! What a deterministic program may not take from the air: the time, randomness, fresh ids.
//!
//! Everything that needs one of them receives an [`Env`]; tests and simulations pass a [`Env::fixed`]
//! one, the server passes the system's (made in `server`, the only place that touches the real clock).

mod timestamp;

pub use timestamp::{ParseTimestampError, Timestamp};

use ids::Id;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Tells the time. Wall-clock time, which may step backwards; nothing may rely on it being monotonic.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes fit for keys.
pub trait Rng: Send + Sync {
    /// Fills `buffer` from a cryptographically secure source.
    fn fill(&self, buffer: &mut [u8]);
}

/// The clock and the source of randomness that a part of the program was given.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    in_place: bool,
}

impl Env {
    /// Bundles a clock and a source of randomness.
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        Self { clock, rng, in_place: false }
    }

    /// The same for a simulation, in which nothing is left to a thread of its own: when such a thread is done no
    /// seed says.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// Whether what takes long is computed where it is asked for, and not beside.
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// A reproducible environment for tests: time stands still until [`FixedClock::advance`], and the
    /// random bytes are a function of `seed`. Never for keys.
    pub fn fixed(start: Timestamp, seed: u64) -> (Self, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::at(start));
        (Self::new(clock.clone(), Arc::new(SeededRng::new(seed))), clock)
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Fills `buffer` with random bytes.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.rng.fill(buffer);
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// A fresh id: the present millisecond and 80 random bits.
    pub fn id<I: Id>(&self) -> I {
        let millis = u64::try_from(self.now().millis()).unwrap_or(0);
        I::from_parts(millis, self.random())
    }
}

/// A clock that moves only when told to.
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.millis()))
    }

    /// Moves the clock by `millis`, which may be negative.
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, reproducible, and no source of secrets.
struct SeededRng(AtomicU64);

impl SeededRng {
    fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Rng for SeededRng {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
