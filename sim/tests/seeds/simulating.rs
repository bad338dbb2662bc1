//! Fifty seeds that keep what is promised, the same log for the same seed, and mistakes that some seed names.

use std::collections::BTreeSet;
use std::process::Command;

/// What the simulation says of these seeds, and whether all of them kept what is promised.
fn simulated(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Whether one of the first fifty seeds names a mistake by the promise that it breaks.
fn names(mistake: &str, promise: &str) {
    for seed in 1..=50 {
        let (kept, text) = simulated(&["--seed", &seed.to_string(), "--mistake", mistake]);
        if text.contains(&format!("seed {seed}: {promise}: ")) {
            assert!(!kept, "{text}");
            return;
        }
    }
    panic!("no seed of fifty found `{mistake}`");
}

/// How often something happened with all seeds together.
fn sum(text: &str, what: &str) -> u64 {
    let parts = text.lines().flat_map(|line| line.split(", "));
    parts.filter_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok()).sum()
}

#[test]
fn fifty_seeds_keep_what_is_promised() {
    let (kept, text) = simulated(&["--seeds", "50"]);
    assert!(kept && text.contains("50 seeds, 0 failed"), "{text}");
    // What makes it hard did happen.
    for (what, often) in
        [("runs", 1_000), ("taken over", 50), ("writes fenced off", 5), ("calls repeated", 50)]
    {
        assert!(sum(&text, what) >= often, "{what}: {text}");
    }
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let (kept, text) = simulated(&["--seed", "51", "--seeds", "4", "--twice"]);
    assert!(kept && text.contains("4 seeds, 0 failed"), "{text}");
    let logs: BTreeSet<_> = text.lines().filter_map(|line| line.split("log ").nth(1)).collect();
    assert_eq!(logs.len(), 4, "different seeds have different logs: {text}");
}

#[test]
fn a_shown_log_is_the_log() {
    let (_, shown) = simulated(&["--seed", "55", "--log"]);
    let (_, hidden) = simulated(&["--seed", "55"]);
    assert_eq!(shown.lines().last(), hidden.lines().last());
    assert!(shown.lines().count() > 500, "{shown}");
}

#[test]
fn a_store_without_a_fence_is_named() {
    names("fence-ignored", "effect twice");
}

#[test]
fn leases_that_are_renewed_after_their_loss_are_named() {
    names("loss-hidden", "effect twice");
}

#[test]
fn an_effect_without_its_idempotency_key_is_named() {
    names("key-dropped", "effect twice");
}

#[test]
fn one_run_too_many_is_named() {
    names("ceiling-off-by-one", "ceiling passed");
}

#[test]
fn a_reservation_that_is_too_small_is_named() {
    names("reserved-too-little", "ceiling passed");
}

#[test]
fn runs_that_nobody_looks_for_are_named() {
    names("nobody-looks", "lost run");
}

#[test]
fn answers_that_are_kept_by_path_are_named() {
    names("shared-cache", "across the boundary");
}
