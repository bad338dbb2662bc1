//! Shares as weights, whoever chooses, and a bounded credit.

use super::{CREDIT, Candidate, TURN, Turns};
use proptest::prelude::*;
use std::collections::HashMap;
use std::num::NonZeroU32;

fn candidate(key: u8, weight: u32) -> Candidate<u8> {
    Candidate { key, weight: NonZeroU32::new(weight).unwrap(), certain: false }
}

/// How often each key is chosen for one place, so many times.
fn shares(turns: &mut Turns<u8>, all: &[Candidate<u8>], times: usize) -> HashMap<u8, usize> {
    let mut counts = HashMap::new();
    for _ in 0..times {
        let chosen = turns.choose(all, 1);
        let winner = chosen.iter().position(|it| *it).unwrap();
        *counts.entry(all[winner].key).or_default() += 1;
    }
    counts
}

#[test]
fn the_earliest_start_and_a_keys_own_in_their_order() {
    let mut turns = Turns::default();
    let all = [candidate(1, 2), candidate(1, 2), candidate(1, 2), candidate(2, 1), candidate(2, 1)];
    assert_eq!(turns.choose(&all, 3), [true, true, false, true, false]);
    assert_eq!(turns.choose(&all, 3), [true, true, false, true, false]);
    assert_eq!(turns.choose(&all, 9), [true; 5]);
}

#[test]
fn who_starts_in_any_case_takes_no_place_and_is_counted() {
    let mut turns = Turns::default();
    let certain = Candidate { certain: true, ..candidate(1, 1) };
    assert_eq!(turns.choose(&[candidate(2, 1), certain], 0), [false, true]);
    assert_eq!(turns.choose(&[candidate(1, 1), candidate(2, 1)], 1), [false, true]);
}

#[test]
fn who_had_nothing_to_start_catches_up_by_its_credit_alone() {
    let mut turns = Turns::default();
    shares(&mut turns, &[candidate(1, 1)], 1_000);
    let both = [candidate(1, 1), candidate(2, 1)];
    let first = usize::try_from(CREDIT / TURN).unwrap();
    assert_eq!(shares(&mut turns, &both, first), HashMap::from([(2, first)]));
    assert_eq!(shares(&mut turns, &both, 100), HashMap::from([(1, 50), (2, 50)]));
}

proptest! {
    /// Two that choose by the same times, each from some of the keys and in turns of any length, come to the weights
    /// between the keys that both know.
    #[test]
    fn shares_are_as_weights_whoever_chooses(weights in prop::collection::vec(1u32..9, 2..7), turn in 1usize..5) {
        let all: Vec<_> = (0u8..).zip(&weights).map(|(key, weight)| candidate(key, *weight)).collect();
        let mut reversed = all.clone();
        reversed.reverse();
        let mut turns = Turns::default();
        let mut counts: HashMap<u8, usize> = HashMap::new();
        let total = weights.iter().sum::<u32>() as usize;
        for number in 0..total * 60 / turn {
            let chooses = if number % 2 == 0 { &all } else { &reversed };
            for (key, count) in shares(&mut turns, chooses, turn) {
                *counts.entry(key).or_default() += count;
            }
        }
        for (key, weight) in (0u8..).zip(&weights) {
            let (got, due) = (counts[&key] as f64, f64::from(*weight) * 60.0);
            prop_assert!((got - due).abs() <= 4.0 + due * 0.02, "{key}: {got} of {due}");
        }
    }
}
