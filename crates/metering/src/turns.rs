//! Whose turn it is where several processes share work out: start-time fair queueing (Goyal, Vin and Cheng, 1996),
//! where each start counts alike.
//!
//! Every key has a virtual time, at which its next item starts. A start puts it off by [`TURN`] divided by the key's
//! weight, and of all that would start the earliest do. So the starts of two keys that both have something waiting are
//! as their weights, however often and by whomever they are chosen from. A key that had nothing to start has fallen
//! behind meanwhile; it catches up by [`CREDIT`] and no more.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;

/// In how much virtual time a key starts as many items as its weight.
pub const TURN: u64 = 1_000_000;
/// How far a key may be behind the foremost of those that it is chosen among.
pub const CREDIT: u64 = 4 * TURN;
/// Keys that are remembered, beyond which those that are far behind are forgotten.
const MOST: usize = 100_000;

/// By how much a start puts the next one off.
pub fn step(weight: NonZeroU32) -> u64 {
    TURN / u64::from(weight.get())
}

/// An item that would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<K> {
    /// Whose it is.
    pub key: K,
    /// The key's share.
    pub weight: NonZeroU32,
    /// Whether it starts in any case, beside those that are chosen.
    pub certain: bool,
}

/// The virtual times of keys.
#[derive(Debug)]
pub struct Turns<K>(HashMap<K, u64>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// Which of these start, as many as there are places and those that do in any case. A key's items start in the
    /// order in which they are given.
    pub fn choose(&mut self, candidates: &[Candidate<K>], places: usize) -> Vec<bool> {
        let times = candidates.iter().filter_map(|it| self.0.get(&it.key)).copied();
        let behind = times.max().unwrap_or(0).saturating_sub(CREDIT);
        let mut next: HashMap<K, u64> = HashMap::new();
        let mut order: Vec<(bool, u64, usize)> = Vec::with_capacity(candidates.len());
        for (number, it) in candidates.iter().enumerate() {
            let at_rest = || self.0.get(&it.key).map_or(behind, |at| behind.max(*at));
            let starts = next.entry(it.key).or_insert_with(at_rest);
            order.push((!it.certain, *starts, number));
            *starts += step(it.weight);
        }
        order.sort_unstable();
        let certain = candidates.iter().filter(|it| it.certain).count();
        let mut chosen = vec![false; candidates.len()];
        for (_, starts, number) in order.into_iter().take(certain + places) {
            chosen[number] = true;
            let Candidate { key, weight, .. } = candidates[number];
            let after = starts + step(weight);
            self.0.entry(key).and_modify(|at| *at = after.max(*at)).or_insert(after);
        }
        self.forget();
        chosen
    }

    /// Forgets those that are so far behind that they would be put forward anyway.
    fn forget(&mut self) {
        if self.0.len() > MOST {
            let foremost = self.0.values().copied().max().unwrap_or(0);
            self.0.retain(|_, at| at.saturating_add(CREDIT) > foremost);
        }
    }
}
