//! [`Dice`]: what a part of the simulation leaves to the seed. Each part has dice of its own, so that one more throw
//! in one part changes nothing in the others.

use crate::chance::mixed;
use env::Rng;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A source of numbers that are a function of the seed and of the part that they are for.
pub(crate) struct Dice(AtomicU64);

impl Dice {
    /// The dice of this part.
    pub(crate) fn of(seed: u64, part: &str) -> Self {
        let named = part.bytes().fold(seed, |sum, byte| mixed(sum.wrapping_add(STEP) ^ u64::from(byte)));
        Self(AtomicU64::new(named))
    }

    fn next(&self) -> u64 {
        mixed(self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP))
    }

    /// A number of this range.
    pub(crate) fn within(&self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        low + self.next() % (high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn in_hundred(&self, cases: u64) -> bool {
        self.next() % 100 < cases
    }

    /// One of these.
    pub(crate) fn one_of<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX).max(1);
        all.get(usize::try_from(self.next() % count).unwrap_or(0))
    }
}

impl Rng for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
