//! [`Shares`]: how much of something each holder has, so that no one of them can take all of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// What each holder has. A holder that has nothing stands in no list.
pub(crate) struct Shares<K> {
    held: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
}

/// A part of a holder's share; given back when it is dropped.
pub(crate) struct Share<K: Eq + Hash> {
    shares: Shares<K>,
    holder: K,
    amount: usize,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone(), most: self.most }
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Each may hold this much.
    pub(crate) fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// This much for the holder, if so much of its share is left.
    pub(crate) fn take(&self, holder: K, amount: usize) -> Option<Share<K>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let has = held.get(&holder).copied().unwrap_or_default();
        if has.saturating_add(amount) > self.most {
            return None;
        }
        held.insert(holder.clone(), has + amount);
        Some(Share { shares: self.clone(), holder, amount })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(has) = held.get_mut(&self.holder) {
            *has -= self.amount;
            if *has == 0 {
                held.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    #[test]
    fn each_has_its_share_and_gives_it_back() {
        let shares = Shares::new(3);
        let held = (shares.take("a", 2).unwrap(), shares.take("a", 1).unwrap());
        assert!(shares.take("a", 1).is_none());
        assert!(shares.take("b", 3).is_some());
        drop(held);
        assert!(shares.take("a", 3).is_some());
        assert!(shares.take("a", 4).is_none());
        assert!(shares.held.lock().unwrap().is_empty());
    }
}
