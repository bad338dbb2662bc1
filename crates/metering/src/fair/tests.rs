//! Shares, order and bounds of the fair queue.

use super::{Bound, FairQueue};
use proptest::prelude::*;
use std::collections::HashMap;
use std::num::NonZeroU32;

fn weight(weight: u32) -> NonZeroU32 {
    NonZeroU32::new(weight).unwrap()
}

fn everyone(_: &u8) -> bool {
    true
}

#[test]
fn a_full_queue_hands_the_item_back() {
    let mut queue = FairQueue::new(2, 3);
    queue.push('a', weight(1), 1).unwrap();
    queue.push('a', weight(1), 2).unwrap();
    let full = queue.push('a', weight(1), 3).unwrap_err();
    assert_eq!((full.bound, full.item), (Bound::Key, 3));
    queue.push('b', weight(1), 4).unwrap();
    assert_eq!(queue.push('c', weight(1), 5).unwrap_err().bound, Bound::Total);
}

#[test]
fn a_newcomer_waits_one_turn_of_each() {
    let mut queue = FairQueue::new(1000, 10_000);
    for item in 0..1000 {
        queue.push(1u8, weight(3), item).unwrap();
    }
    queue.pop(everyone).unwrap();
    queue.push(2, weight(1), 0).unwrap();
    let order: Vec<u8> = (0..3).map(|_| queue.pop(everyone).unwrap().0).collect();
    assert_eq!(order, [1, 1, 2]);
}

#[test]
fn who_is_not_eligible_keeps_its_items() {
    let mut queue = FairQueue::new(10, 100);
    for item in 0..3 {
        queue.push(1u8, weight(1), item).unwrap();
        queue.push(2, weight(1), item).unwrap();
    }
    let served: Vec<u8> = (0..3).map(|_| queue.pop(|key| *key == 2).unwrap().0).collect();
    assert_eq!(served, [2, 2, 2]);
    assert_eq!(queue.pop(|key| *key == 2), None);
    assert_eq!(queue.pop(everyone), Some((1, 0)));
    assert_eq!(queue.remove(&1), [1, 2]);
    assert!(queue.is_empty() && queue.circle.is_empty() && queue.lanes.is_empty());
}

#[test]
fn heads_are_of_different_keys_and_go_back_where_they_were() {
    let mut queue = FairQueue::new(10, 100);
    for item in 0..3 {
        for key in 1u8..=3 {
            queue.push(key, weight(2), item).unwrap();
        }
    }
    queue.push(4, weight(1), 0).unwrap();
    let heads = queue.heads(2, |key| *key != 1);
    assert_eq!(heads, [(2, 0), (3, 0)]);
    assert_eq!(queue.heads(9, |key| *key == 4), [(4, 0)]);
    assert_eq!((queue.len(), queue.len_of(&4)), (7, 0));
    for (key, item) in heads {
        queue.put_back(key, weight(2), item);
    }
    let order: Vec<_> = (0..4).map(|_| queue.pop(everyone).unwrap()).collect();
    assert_eq!(order, [(1, 0), (1, 1), (2, 0), (2, 1)]);
    assert_eq!((queue.len(), queue.circle.len()), (5, 3));
}

proptest! {
    #[test]
    fn shares_follow_the_weights_under_backlog(weights in prop::collection::vec(1u32..9, 1..6), rounds in 1usize..20) {
        let mut queue = FairQueue::new(usize::MAX, usize::MAX);
        let turn: usize = weights.iter().map(|weight| *weight as usize).sum();
        for (key, share) in (0u8..).zip(&weights) {
            for item in 0..=turn * rounds {
                queue.push(key, weight(*share), item).unwrap();
            }
        }
        let mut served: HashMap<u8, usize> = HashMap::new();
        for _ in 0..turn * rounds {
            *served.entry(queue.pop(everyone).unwrap().0).or_default() += 1;
        }
        for (key, share) in (0u8..).zip(&weights) {
            prop_assert_eq!(served[&key], *share as usize * rounds);
        }
    }

    #[test]
    fn nobody_starves(weights in prop::collection::vec(1u32..9, 2..6)) {
        let mut queue = FairQueue::new(usize::MAX, usize::MAX);
        let turn: usize = weights.iter().map(|weight| *weight as usize).sum();
        for (key, share) in (0u8..).zip(&weights) {
            queue.push(key, weight(*share), ()).unwrap();
        }
        let mut last_served: HashMap<u8, usize> = HashMap::new();
        for moment in 0..turn * 10 {
            let (key, ()) = queue.pop(everyone).unwrap();
            let before = last_served.insert(key, moment).unwrap_or(0);
            prop_assert!(moment - before <= turn);
            queue.push(key, weight(weights[key as usize]), ()).unwrap();
        }
        prop_assert_eq!(last_served.len(), weights.len());
    }

    #[test]
    fn nothing_is_lost_reordered_or_beyond_the_bounds(
        steps in prop::collection::vec((0u8..5, 0u8..4, any::<u8>()), 1..400),
    ) {
        let (per_key, total) = (7, 20);
        let mut queue = FairQueue::new(per_key, total);
        let mut model: HashMap<u8, Vec<usize>> = HashMap::new();
        for (item, (key, action, mask)) in steps.into_iter().enumerate() {
            match action {
                0 | 1 => {
                    let waiting: usize = model.values().map(Vec::len).sum();
                    let fits = waiting < total && model.get(&key).map_or(0, Vec::len) < per_key;
                    let share = weight(u32::from(mask % 4) + 1);
                    prop_assert_eq!(queue.push(key, share, item).is_ok(), fits);
                    if fits {
                        model.entry(key).or_default().push(item);
                    }
                }
                2 => {
                    let eligible = |key: &u8| mask & (1 << key) != 0;
                    let possible = model.iter().any(|(key, items)| eligible(key) && !items.is_empty());
                    let popped = queue.pop(eligible);
                    prop_assert_eq!(popped.is_some(), possible);
                    if let Some((key, item)) = popped {
                        prop_assert!(eligible(&key));
                        prop_assert_eq!(model.get_mut(&key).unwrap().remove(0), item);
                    }
                }
                _ => prop_assert_eq!(queue.remove(&key), model.remove(&key).unwrap_or_default()),
            }
            let waiting: usize = model.values().map(Vec::len).sum();
            prop_assert_eq!(queue.len(), waiting);
            let busy = model.values().filter(|items| !items.is_empty()).count();
            prop_assert_eq!((queue.lanes.len(), queue.circle.len()), (busy, busy));
        }
    }
}
