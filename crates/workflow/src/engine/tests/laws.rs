//! What holds for every definition and every course of events. [`Driver::say`] checks after each
//! transition that the journal replays to the run, that nothing is performed twice at once, and that no
//! step is tried too often.

use super::drive::{Driver, error, name};
use crate::definition::NodeName;
use crate::engine::{Command, Input, Mode, Outcome, RunStatus, StepStatus};
use env::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A reproducible stream of choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// A random graph of up to 14 nodes, each behind some earlier ones.
fn definition(choices: &mut Choices) -> String {
    let mut nodes = vec![json!({"id": "n0", "type": "source", "kind": "manual"})];
    let mut conditions = BTreeSet::new();
    let mut edges = BTreeSet::new();
    for index in 1..2 + choices.below(13) {
        let id = format!("n{index}");
        nodes.push(match choices.below(6) {
            0 => {
                conditions.insert(index);
                json!({"id": id, "type": "condition", "expression": choices.one_in(2).to_string()})
            }
            1 => json!({"id": id, "type": "transform", "output": "{{ input.x }}"}),
            2 => json!({"id": id, "type": "ai", "model": "m", "prompt": "p"}),
            3 => json!({"id": id, "type": "record", "operation": "find", "collection": "c",
                "retry": {"max_attempts": 1 + choices.below(3)}}),
            4 => json!({"id": id, "type": "http", "method": "POST", "url": "https://a.example/", "timeout": 60}),
            _ => json!({"id": id, "type": "http", "method": "PUT", "url": "https://a.example/",
                "retry": {"max_attempts": 4}, "on_unknown": "retry"}),
        });
        for _ in 0..1 + choices.below(3) {
            let from = choices.below(index);
            let when = conditions.contains(&from).then(|| choices.below(3)).filter(|when| *when < 2);
            edges.insert((from, index, when));
        }
    }
    let edges: Vec<Value> = edges
        .into_iter()
        .map(|(from, to, when)| {
            let (from, to) = (format!("n{from}"), format!("n{to}"));
            match when {
                Some(when) => json!({"from": from, "to": to, "when": when == 1}),
                None => json!({"from": from, "to": to}),
            }
        })
        .collect();
    json!({"name": "random", "timeout": 7_200, "nodes": nodes, "edges": edges}).to_string()
}

fn outcome(choices: &mut Choices, now: Timestamp) -> Outcome {
    match choices.below(9) {
        0 => Outcome::Failed { error: error(), retryable: true, cost: None },
        1 => Outcome::Failed {
            error: error(),
            retryable: choices.one_in(2),
            cost: Some("0.01".parse().unwrap()),
        },
        2 => Outcome::RateLimited {
            until: Timestamp::from_millis(now.millis() + choices.below(90_000) as i64),
        },
        3 if choices.one_in(4) => Outcome::BudgetExceeded { message: "spent".into() },
        4 => Outcome::Unknown,
        _ => {
            let status = if choices.one_in(5) { 503 } else { 200 };
            Outcome::Succeeded { output: json!({"status": status, "n": choices.below(100)}), cost: None }
        }
    }
}

/// Something happens: outcomes, crashes, time, slots, repeats of what was said before.
fn happen(driver: &mut Driver, choices: &mut Choices, said: &mut Vec<Input>) {
    match choices.below(20) {
        0..=8 if !driver.open.is_empty() => {
            let index = usize::try_from(choices.below(driver.open.len() as u64)).unwrap();
            let Some(Command::Perform { node, attempt, .. }) = driver.open.values().nth(index).cloned()
            else {
                panic!()
            };
            let input = Input::Outcome { node, attempt, outcome: outcome(choices, driver.now) };
            said.push(input.clone());
            driver.say(input);
        }
        9..=10 if !said.is_empty() => repeat(driver, choices, said),
        11 => crash(driver, choices),
        12..=15 => {
            driver.admit_after(i64::try_from(choices.below(40)).unwrap());
        }
        _ => {
            driver.tick_after(i64::try_from(choices.below(100)).unwrap());
        }
    }
}

/// A late or doubled message about an attempt that is over changes nothing.
fn repeat(driver: &mut Driver, choices: &mut Choices, said: &[Input]) {
    let index = usize::try_from(choices.below(said.len() as u64)).unwrap();
    let input = said[index].clone();
    let before = driver.run.clone();
    let due = driver.run.wake_at().is_some_and(|at| at <= driver.now);
    let progress = driver.say(input);
    if !due {
        assert!(progress.events.is_empty(), "{progress:?}");
        assert_eq!(before, driver.run);
    }
}

/// The worker dies: what it was at is performed again where it had not begun, or is of unknown outcome.
fn crash(driver: &mut Driver, choices: &mut Choices) {
    let derived = driver.run.commands(&driver.definition);
    for command in derived {
        if let Command::Perform { node, attempt, .. } = command
            && choices.one_in(2)
        {
            driver.say(Input::Outcome { node, attempt, outcome: Outcome::Unknown });
        }
    }
}

fn drive_to_the_end(driver: &mut Driver, choices: &mut Choices) {
    let mut said = Vec::new();
    let mut count = 0;
    while !driver.run.status().is_over() {
        happen(driver, choices, &mut said);
        count += 1;
        assert!(count < 3_000, "the run does not end");
    }
    check_the_end(driver);
}

fn check_the_end(driver: &Driver) {
    assert!(driver.open.is_empty() && driver.run.wake_at().is_none());
    for (node, step) in driver.run.steps() {
        assert!(step.status.is_over(), "`{node}` is {:?}", step.status);
        let has_output = driver.run.values().outputs.contains_key(node);
        assert_eq!(has_output, step.status == StepStatus::Succeeded);
    }
    let all_well = driver
        .run
        .steps()
        .all(|(_, step)| matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped));
    assert_eq!(driver.run.status() == RunStatus::Succeeded, all_well);
    assert_eq!(driver.run.reason().is_none(), all_well);
}

/// How often each node that kept its output was performed.
fn performed(driver: &Driver, nodes: &[NodeName]) -> Vec<usize> {
    let count = |node| driver.performed.iter().filter(|(other, _)| other == node).count();
    nodes.iter().map(count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_run_ends_as_its_steps_did(seed in any::<u64>()) {
        let mut choices = Choices(seed);
        let text = definition(&mut choices);
        let mut driver = Driver::new(&text, json!({"x": 1}), json!({}), Mode::Live);
        drive_to_the_end(&mut driver, &mut choices);
    }

    #[test]
    fn a_retry_never_performs_upstream_again(seed in any::<u64>()) {
        let mut choices = Choices(seed);
        let text = definition(&mut choices);
        let mut driver = Driver::new(&text, json!({"x": 1}), json!({}), Mode::Live);
        drive_to_the_end(&mut driver, &mut choices);
        for _ in 0..3 {
            let from = choices.one_in(2).then(|| name(&format!("n{}", choices.below(5))));
            let Ok(reset) = driver.run.retry_plan(&driver.definition, from.as_ref()) else { continue };
            let kept: Vec<NodeName> =
                driver.run.steps().map(|(node, _)| node.clone()).filter(|node| !reset.contains(node)).collect();
            let outputs: Vec<_> = kept.iter().map(|node| driver.run.values().outputs.get(node).cloned()).collect();
            let before = performed(&driver, &kept);
            driver.say(Input::Retry { from });
            prop_assert_eq!(driver.run.status(), RunStatus::Queued);
            drive_to_the_end(&mut driver, &mut choices);
            prop_assert_eq!(before, performed(&driver, &kept));
            let after: Vec<_> = kept.iter().map(|node| driver.run.values().outputs.get(node).cloned()).collect();
            prop_assert_eq!(outputs, after);
        }
    }

    #[test]
    fn a_run_can_be_cancelled_at_any_time(seed in any::<u64>(), length in 0_usize..30) {
        let mut choices = Choices(seed);
        let text = definition(&mut choices);
        let mut driver = Driver::new(&text, json!({"x": 1}), json!({}), Mode::Live);
        let mut said = Vec::new();
        for _ in 0..length {
            happen(&mut driver, &mut choices, &mut said);
        }
        let over = driver.run.status().is_over();
        driver.say(Input::Cancel);
        prop_assert!(over || driver.run.status() == RunStatus::Cancelled);
        check_the_end(&driver);
    }

    #[test]
    fn without_failures_every_run_succeeds(seed in any::<u64>()) {
        let mut choices = Choices(seed);
        let text = definition(&mut choices);
        let mut driver = Driver::new(&text, json!({"x": 1}), json!({}), Mode::Live);
        driver.admit();
        while let Some(node) = driver.open.keys().next().cloned() {
            driver.succeed(node.as_str(), json!({"status": 200}));
        }
        prop_assert_eq!(driver.run.status(), RunStatus::Succeeded);
        check_the_end(&driver);
    }
}
