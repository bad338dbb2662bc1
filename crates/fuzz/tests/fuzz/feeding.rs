//! Feeds every target with the corpus and with what is near it. An input that a target does not stand goes into
//! the corpus, where it stays.
//!
//! `TENANTRY_FUZZ_SECONDS` says for how long; without it each target gets a fixed number of inputs.

use env::{Env, Timestamp};
use fuzz::mutate::Mutator;
use fuzz::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Inputs for each target in a run of all tests.
const INPUTS: u64 = 1500;

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Whether a target stands an input. One that overflows the stack ends the whole test.
fn stands(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok()
}

fn mutator(seed: u64) -> Mutator {
    Mutator::new(Env::fixed(Timestamp::from_millis(0), seed).0)
}

#[test]
fn every_target_stands_what_was_found() {
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for (path, input) in corpus {
            assert!(stands(target, &input), "{}", path.display());
        }
    }
}

/// Feeds a target with what is near its corpus.
fn feed(target: &Target, seed: u64, inputs: u64) {
    let (corpus, mutator) = (corpus(target), mutator(seed));
    for number in 0..inputs {
        let [one, other] = [0, 1].map(|_| &corpus[mutator.below(corpus.len())].1);
        let input = mutator.near(one, other);
        if !stands(target, &input) {
            let path = folder(target).join(format!("found-{seed}-{number}"));
            std::fs::write(&path, &input).unwrap();
            panic!("{} does not stand {}", target.name, path.display());
        }
    }
}

#[test]
fn every_target_stands_what_is_near_to_that() {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
    let seconds = std::env::var("TENANTRY_FUZZ_SECONDS").ok();
    let Some(seconds) = seconds else {
        return TARGETS.iter().for_each(|target| feed(target, 1, INPUTS));
    };
    #[expect(clippy::disallowed_methods, reason = "how long it goes on is asked for in seconds")]
    let started = std::time::Instant::now();
    let long = Duration::from_secs(seconds.parse().unwrap());
    let mut seed = u64::from(std::process::id()) << 20;
    while started.elapsed() < long {
        seed += 1;
        TARGETS.iter().for_each(|target| feed(target, seed, INPUTS));
    }
    println!("{} inputs for each of {} targets", (seed & 0xf_ffff) * INPUTS, TARGETS.len());
}
