//! Whose turn it is: deficit round robin over tenants (Shreedhar and Varghese, 1995), with weights.
//!
//! Every key that has something waiting gets turns in a circle; a turn is worth as many items as the key's
//! weight. A key with much waiting delays another by at most one turn of each. All bounds are hard.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::num::NonZeroU32;

/// Which bound an item met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The key's own queue is full.
    Key,
    /// All queues together are full.
    Total,
}

/// The item was not queued.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full<T> {
    /// The bound that it met.
    pub bound: Bound,
    /// The item, handed back.
    pub item: T,
}

/// One key's items, and what is left of its turn.
#[derive(Debug)]
struct Lane<T> {
    weight: u32,
    left: u32,
    items: VecDeque<T>,
}

/// Bounded queues by key that are served in proportion to their weights.
///
/// Holds nothing for a key that has nothing waiting. Pushing takes constant time; popping takes constant
/// time and one step more for each key that is passed over because it is not eligible.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    lanes: HashMap<K, Lane<T>>,
    /// Every key with something waiting, once; the first has the turn.
    circle: VecDeque<K>,
    len: usize,
    per_key: usize,
    total: usize,
}

impl<K: Clone + Eq + Hash, T> FairQueue<K, T> {
    /// An empty queue that holds at most `per_key` items of one key and `total` of all.
    pub fn new(per_key: usize, total: usize) -> Self {
        Self { lanes: HashMap::new(), circle: VecDeque::new(), len: 0, per_key, total }
    }

    /// Puts an item at the end of its key's queue. The weight counts from the key's next turn.
    pub fn push(&mut self, key: K, weight: NonZeroU32, item: T) -> Result<(), Full<T>> {
        if self.len >= self.total {
            return Err(Full { bound: Bound::Total, item });
        }
        if self.len_of(&key) >= self.per_key {
            return Err(Full { bound: Bound::Key, item });
        }
        self.lane(key, weight).items.push_back(item);
        self.len += 1;
        Ok(())
    }

    /// The next item of the key whose turn it is. A key that is not eligible (one that is at its limit)
    /// loses its turn and keeps its items.
    pub fn pop(&mut self, eligible: impl Fn(&K) -> bool) -> Option<(K, T)> {
        for _ in 0..self.circle.len() {
            let key = self.circle.front()?.clone();
            if eligible(&key)
                && let Some(item) = self.serve(&key)
            {
                self.len -= 1;
                return Some((key, item));
            }
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.left = 0;
            }
            self.circle.rotate_left(1);
        }
        None
    }

    /// Takes one item of the first key, which then stays first while its turn lasts.
    fn serve(&mut self, key: &K) -> Option<T> {
        let lane = self.lanes.get_mut(key)?;
        if lane.left == 0 {
            lane.left = lane.weight;
        }
        let item = lane.items.pop_front()?;
        lane.left -= 1;
        if lane.items.is_empty() {
            self.lanes.remove(key);
            self.circle.pop_front();
        } else if lane.left == 0 {
            self.circle.rotate_left(1);
        }
        Some(item)
    }

    /// Takes the first item of each of so many eligible keys, from the one that has the turn on, and nobody's turn.
    pub fn heads(&mut self, most: usize, eligible: impl Fn(&K) -> bool) -> Vec<(K, T)> {
        let keys: Vec<K> = self.circle.iter().filter(|key| eligible(key)).take(most).cloned().collect();
        let mut heads = Vec::new();
        for key in keys {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let Some(item) = lane.items.pop_front() else { continue };
            self.len -= 1;
            if lane.items.is_empty() {
                self.lanes.remove(&key);
                self.circle.retain(|other| *other != key);
            }
            heads.push((key, item));
        }
        heads
    }

    /// Puts an item that was taken out back to the front of its key's queue, whatever the bounds.
    pub fn put_back(&mut self, key: K, weight: NonZeroU32, item: T) {
        self.lane(key, weight).items.push_front(item);
        self.len += 1;
    }

    /// The key's queue, with a place in the circle.
    fn lane(&mut self, key: K, weight: NonZeroU32) -> &mut Lane<T> {
        let lane = self.lanes.entry(key.clone()).or_insert_with(|| {
            self.circle.push_back(key);
            Lane { weight: weight.get(), left: 0, items: VecDeque::new() }
        });
        lane.weight = weight.get();
        lane
    }

    /// Takes out everything of one key, in order. Takes time in proportion to the number of keys.
    pub fn remove(&mut self, key: &K) -> Vec<T> {
        let Some(lane) = self.lanes.remove(key) else { return Vec::new() };
        self.circle.retain(|other| other != key);
        self.len -= lane.items.len();
        lane.items.into()
    }

    /// Items of all keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Items of one key.
    pub fn len_of(&self, key: &K) -> usize {
        self.lanes.get(key).map_or(0, |lane| lane.items.len())
    }
}
