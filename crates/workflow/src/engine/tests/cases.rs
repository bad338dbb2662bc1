//! What happens in each case.

use super::drive::{Driver, START, error, name};
use crate::engine::{
    AttemptResult, Event, EventKind, Input, MAX_UNKNOWN_OUTCOMES, Mode, Outcome, Reason, Request,
    RetryRefusal, Run, RunStatus, StartError, StepErrorCode, StepStatus,
};
use env::Timestamp;
use serde_json::json;

const ONE: &str = "  - {id: a, type: ai, after: [start], model: m, prompt: 'n={{ input.n }}', retry: \
                   {max_attempts: 3, backoff: {initial_seconds: 4, max_seconds: 10, factor: 2}}}\n";
const POST: &str = "  - {id: a, type: http, after: [start], method: POST, url: 'https://a.example/x'}\n";

#[test]
fn a_queued_run_waits_for_its_slot() {
    let mut driver = Driver::new(
        &format!("name: t\nnodes:\n  - {{id: start, type: source, kind: manual}}\n{ONE}"),
        json!({"n": 1}),
        json!({}),
        Mode::Live,
    );
    driver.tick_after(1);
    assert_eq!(driver.run.status(), RunStatus::Queued);
    driver.admit();
    assert_eq!((driver.run.status(), driver.status("a")), (RunStatus::Running, StepStatus::Running));
    assert!(matches!(driver.request("a"), Request::Ai { prompt, .. } if prompt == "n=1"));
    driver.succeed("a", json!({"text": "hi"}));
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
    assert_eq!(driver.run.values().outputs[&name("a")], json!({"text": "hi"}));
}

#[test]
fn attempts_back_off_and_end() {
    let mut driver = Driver::begun(ONE);
    for (attempt, longest) in [(1, 4_000), (2, 8_000)] {
        driver.fail("a", true);
        assert_eq!((driver.run.status(), driver.status("a")), (RunStatus::Waiting, StepStatus::Waiting));
        let wait = driver.run.wake_at().unwrap().since(driver.now).as_millis();
        assert!((longest / 2..=longest).contains(&wait), "attempt {attempt} waits {wait} ms");
        driver.tick_after(20);
        assert_eq!(driver.run.status(), RunStatus::Waiting, "a waiting run needs a slot again");
        driver.admit();
        assert_eq!(driver.status("a"), StepStatus::Running);
    }
    driver.fail("a", true);
    assert_eq!(driver.run.status(), RunStatus::Failed);
    assert_eq!(driver.run.reason(), Some(&Reason::StepFailed { node: name("a"), error: error() }));
    assert_eq!(driver.keys[&name("a")].len(), 3);
    assert!(driver.keys[&name("a")].windows(2).all(|pair| pair[0] == pair[1]), "one key for all attempts");
}

#[test]
fn what_a_retry_cannot_cure_ends_at_once() {
    let mut driver = Driver::begun(ONE);
    driver.fail("a", false);
    assert_eq!(driver.run.status(), RunStatus::Failed);
    let mut driver = Driver::begun(ONE);
    driver.end("a", Outcome::BudgetExceeded { message: "The budget is spent.".into() });
    let Some(Reason::StepFailed { error, .. }) = driver.run.reason() else { panic!() };
    assert_eq!(error.code, StepErrorCode::BudgetExceeded);
}

#[test]
fn a_full_window_costs_no_attempt() {
    let mut driver = Driver::begun(ONE);
    for _ in 0..5 {
        let until = Timestamp::from_millis(driver.now.millis() + 60_000);
        driver.end("a", Outcome::RateLimited { until });
        assert_eq!((driver.run.status(), driver.run.wake_at()), (RunStatus::Waiting, Some(until)));
        assert!(driver.admit_after(30).events.is_empty(), "too early, so nothing happens");
        driver.admit_after(30);
        assert_eq!(driver.run.status(), RunStatus::Running);
    }
    assert_eq!(driver.run.step_of(&name("a")).unwrap().attempts_counted(), 1);
    driver.end("a", Outcome::RateLimited { until: Timestamp::from_millis(0) });
    assert!(driver.run.wake_at().unwrap() > driver.now, "a window that is over at once does not spin");
}

#[test]
fn branches_run_in_parallel_and_a_failed_one_stops_only_what_depends_on_it() {
    let mut driver = Driver::begun(
        "  - {id: a, type: ai, after: [start], model: m, prompt: p}
  - {id: b, type: ai, after: [start], model: m, prompt: p}
  - {id: after_a, type: ai, after: [a], model: m, prompt: p}
  - {id: after_b, type: transform, after: [b], output: 1}
  - {id: both, type: transform, after: [a, b], output: 1}
",
    );
    assert_eq!(driver.open.len(), 2);
    driver.fail("a", false);
    assert_eq!(driver.run.status(), RunStatus::Running);
    driver.succeed("b", json!({}));
    assert_eq!(driver.run.status(), RunStatus::Failed);
    let statuses = ["after_a", "after_b", "both"].map(|node| driver.status(node));
    assert_eq!(statuses, [StepStatus::Cancelled, StepStatus::Succeeded, StepStatus::Cancelled]);
}

const BRANCHES: &str = "
  - {id: which, type: condition, after: [start], expression: 'input.n > 0'}
  - {id: yes, type: transform, output: yes}
  - {id: no, type: transform, output: no}
  - {id: after_no, type: transform, after: [no], output: 1}
  - {id: join, type: transform, after: [yes, no], output: '{{ steps.no is defined }}'}
edges:
  - {from: which, to: yes, when: true}
  - {from: which, to: no, when: false}
";

#[test]
fn a_branch_not_taken_is_skipped_and_a_join_goes_on() {
    let driver = Driver::begun(BRANCHES);
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
    let statuses = ["yes", "no", "after_no", "join"].map(|node| driver.status(node));
    assert_eq!(
        statuses,
        [StepStatus::Succeeded, StepStatus::Skipped, StepStatus::Skipped, StepStatus::Succeeded]
    );
    assert_eq!(driver.run.values().outputs[&name("join")], json!(false));
}

#[test]
fn a_join_waits_for_every_live_branch() {
    let ai = |id: &str, after: &str| {
        format!("  - {{id: {id}, type: ai, after: [{after}], model: m, prompt: p}}\n")
    };
    let mut driver = Driver::begun(&[ai("a", "start"), ai("b", "start"), ai("join", "a, b")].concat());
    driver.succeed("a", json!({}));
    assert_eq!(driver.status("join"), StepStatus::Pending);
    driver.succeed("b", json!({}));
    assert_eq!(driver.status("join"), StepStatus::Running);
}

#[test]
fn a_condition_can_choose_among_texts() {
    let driver = Driver::begun(
        "  - {id: which, type: condition, after: [start], expression: \"'hot' if input.n else 'cold'\"}
  - {id: hot, type: transform, output: 1}
  - {id: cold, type: transform, output: 1}
edges:
  - {from: which, to: hot, when: hot}
  - {from: which, to: cold, when: cold}
",
    );
    assert_eq!((driver.status("hot"), driver.status("cold")), (StepStatus::Succeeded, StepStatus::Skipped));
    let driver = Driver::begun("  - {id: which, type: condition, after: [start], expression: 'input.n'}\n");
    let Some(Reason::StepFailed { error, .. }) = driver.run.reason() else { panic!() };
    assert_eq!(error.code, StepErrorCode::ConditionType);
}

#[test]
fn an_undefined_value_fails_the_step_before_anything_is_sent() {
    let driver =
        Driver::begun("  - {id: a, type: ai, after: [start], model: m, prompt: '{{ input.missing }}'}\n");
    assert!(driver.performed.is_empty());
    let Some(Reason::StepFailed { error, .. }) = driver.run.reason() else { panic!() };
    assert_eq!(error.code, StepErrorCode::TemplateFailed);
}

#[test]
fn statuses_of_answers_are_judged() {
    let ends = |status: u16, node: &str| {
        let mut driver = Driver::begun(node);
        driver.succeed("a", json!({"status": status, "body": null}));
        driver.run.status()
    };
    assert_eq!(ends(204, POST), RunStatus::Succeeded);
    assert_eq!(ends(404, POST), RunStatus::Failed);
    let retried = POST.replace("}\n", ", retry: {max_attempts: 2}, expect_status: [200, 404]}\n");
    assert_eq!(ends(404, &retried), RunStatus::Succeeded);
    assert_eq!(ends(201, &retried), RunStatus::Failed);
    assert_eq!(ends(503, &retried), RunStatus::Waiting);
}

#[test]
fn an_answer_must_fit_its_schema() {
    let schema = "output_schema: {type: object, required: [label], properties: {label: {enum: [x]}}}";
    let node = format!("  - {{id: a, type: ai, after: [start], model: m, prompt: p, {schema}}}\n");
    let mut driver = Driver::begun(&node);
    driver.succeed("a", json!({"label": "a secret"}));
    assert_eq!(driver.run.status(), RunStatus::Waiting);
    let error = driver.run.step_of(&name("a")).unwrap().error.clone().unwrap();
    assert_eq!(error.code, StepErrorCode::OutputMismatch);
    assert!(!error.message.contains("secret"));
    driver.admit_after(10);
    driver.succeed("a", json!({"label": "x"}));
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
}

#[test]
fn outputs_are_bounded() {
    let mut driver = Driver::begun(ONE);
    driver.succeed("a", json!({"text": "x".repeat(crate::engine::MAX_VALUE_BYTES)}));
    let Some(Reason::StepFailed { error, .. }) = driver.run.reason() else { panic!() };
    assert_eq!(error.code, StepErrorCode::OutputTooLarge);
    let node = |index| format!("  - {{id: n{index}, type: ai, after: [start], model: m, prompt: p}}\n");
    let mut driver = Driver::begun(&(0..10).map(node).collect::<String>());
    for index in 0..10 {
        driver.succeed(&format!("n{index}"), json!({"text": "x".repeat(1_000_000)}));
    }
    assert_eq!(driver.run.status(), RunStatus::Failed, "together they are over the limit");
    let input = json!("x".repeat(2_000_000));
    let (mut step_id, start) = (|| panic!(), start(input));
    let refused = Run::start(&driver.definition, start, &mut step_id).map(|_| ());
    assert_eq!(refused, Err(StartError::InputTooLarge(2_000_002)));
}

fn start(input: serde_json::Value) -> crate::engine::Start {
    use ids::Id;
    crate::engine::Start {
        run: ids::RunId::from_parts(1, [1; 10]),
        workflow: ids::WorkflowId::from_parts(1, [2; 10]),
        mode: Mode::Live,
        input,
        config: json!({}),
        delivery: None,
        now: Timestamp::from_millis(START),
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_called_off() {
    let mut driver = Driver::begun(ONE);
    driver.tick_after(119);
    assert_eq!(driver.status("a"), StepStatus::Running);
    driver.tick_after(1);
    assert!(driver.open.is_empty());
    assert_eq!(driver.status("a"), StepStatus::Waiting);
    let late = Outcome::Succeeded { output: json!({}), cost: None };
    let progress = driver.say(Input::Outcome { node: name("a"), attempt: 1, outcome: late });
    assert!(progress.events.is_empty(), "a late answer changes nothing");
    let mut driver = Driver::begun(POST);
    driver.tick_after(30);
    assert_eq!(driver.run.reason(), Some(&Reason::OutcomeUnknown { node: name("a") }));
    assert_eq!(driver.status("a"), StepStatus::Unknown);
}

#[test]
fn an_unknown_outcome_follows_the_node() {
    let mut driver = Driver::begun(POST);
    driver.end("a", Outcome::Unknown);
    assert_eq!(driver.run.reason(), Some(&Reason::OutcomeUnknown { node: name("a") }));
    let mut driver = Driver::begun(&POST.replace("POST", "PUT"));
    for _ in 0..MAX_UNKNOWN_OUTCOMES {
        driver.end("a", Outcome::Unknown);
        assert_eq!(driver.run.status(), RunStatus::Waiting);
        driver.admit_after(60);
    }
    assert!(driver.keys[&name("a")].windows(2).all(|pair| pair[0] == pair[1]));
    driver.end("a", Outcome::Unknown);
    assert_eq!(driver.status("a"), StepStatus::Unknown, "a step that always kills its worker is given up");
}

#[test]
fn cancelling_calls_off_and_cancels() {
    let mut driver = Driver::begun(&format!("{ONE}  - {{id: b, type: transform, after: [a], output: 1}}\n"));
    driver.say(Input::Cancel);
    assert_eq!(driver.run.status(), RunStatus::Cancelled);
    assert_eq!((driver.status("a"), driver.status("b")), (StepStatus::Cancelled, StepStatus::Cancelled));
    let attempt = &driver.run.step_of(&name("a")).unwrap().attempts[0];
    assert_eq!(attempt.result, Some(AttemptResult::Aborted));
    assert!(driver.say(Input::Cancel).events.is_empty());
    assert!(driver.admit().events.is_empty());
}

#[test]
fn a_run_has_its_time() {
    let mut driver = Driver::begun(ONE);
    driver.fail("a", true);
    driver.tick_after(24 * 3_600);
    assert_eq!((driver.run.status(), driver.run.reason()), (RunStatus::Failed, Some(&Reason::RunTimedOut)));
    assert_eq!(driver.run.wake_at(), None);
}

#[test]
fn a_failed_run_goes_on_where_it_failed() {
    let nodes = "  - {id: a, type: ai, after: [start], model: m, prompt: p}
  - {id: b, type: http, after: [a], method: POST, url: 'https://a.example/x'}
  - {id: c, type: record, after: [b], operation: find, collection: x}
";
    let mut driver = Driver::begun(nodes);
    driver.succeed("a", json!({"text": "kept"}));
    driver.fail("b", false);
    assert_eq!(driver.run.status(), RunStatus::Failed);
    driver.tick_after(3_600);
    driver.say(Input::Retry { from: None });
    assert_eq!((driver.run.status(), driver.status("b")), (RunStatus::Queued, StepStatus::Ready));
    driver.admit();
    driver.succeed("b", json!({"status": 200}));
    driver.succeed("c", json!({"data": []}));
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
    assert_eq!(driver.performed.iter().filter(|(node, _)| *node == name("a")).count(), 1);
    assert_eq!(driver.run.step_of(&name("b")).unwrap().attempts.len(), 2, "history is kept");
    let keys = &driver.keys[&name("b")];
    assert_eq!(keys[0], keys[1], "what may have happened is repeated under the same key");
    let refused = driver.run.retry_plan(&driver.definition, None);
    assert_eq!(refused, Err(RetryRefusal::NothingFailed));
    driver.say(Input::Retry { from: Some(name("b")) });
    driver.admit();
    driver.succeed("b", json!({"status": 200}));
    let keys = &driver.keys[&name("b")];
    assert_ne!(keys[1], keys[2], "what did happen and is wanted again has another key");
}

#[test]
fn retries_are_refused_where_they_mean_nothing() {
    let mut driver = Driver::begun(ONE);
    let plan = |driver: &Driver, node: Option<&str>| {
        driver.run.retry_plan(&driver.definition, node.map(name).as_ref())
    };
    assert_eq!(plan(&driver, None), Err(RetryRefusal::NotOver));
    assert!(driver.say(Input::Retry { from: None }).events.is_empty());
    let driver = Driver::begun(BRANCHES);
    assert_eq!(plan(&driver, Some("nobody")), Err(RetryRefusal::NoSuchStep(name("nobody"))));
    assert_eq!(plan(&driver, Some("no")), Err(RetryRefusal::NotReached(name("no"))));
    assert_eq!(plan(&driver, Some("yes")), Ok(vec![name("yes"), name("join")]));
}

#[test]
fn no_more_than_the_limit_are_performed_at_once() {
    let node = |index| format!("  - {{id: n{index}, type: ai, after: [start], model: m, prompt: p}}\n");
    let mut driver = Driver::begun(&(0..20).map(node).collect::<String>());
    assert_eq!(driver.open.len(), crate::engine::MAX_PARALLEL_STEPS);
    assert_eq!(driver.status("n19"), StepStatus::Ready);
    driver.succeed("n3", json!({}));
    assert_eq!(driver.open.len(), crate::engine::MAX_PARALLEL_STEPS);
}

#[test]
fn costs_add_up() {
    let mut driver = Driver::begun(ONE);
    let cost = |text: &str| Some(text.parse().unwrap());
    driver.end("a", Outcome::Failed { error: error(), retryable: true, cost: cost("0.001") });
    driver.admit_after(60);
    driver.end("a", Outcome::Succeeded { output: json!({}), cost: cost("0.002") });
    assert_eq!(driver.run.cost().to_string(), "0.003");
}

#[test]
fn costs_of_attempts_that_are_forgotten_stay_in_the_sum() {
    let mut driver = Driver::begun("  - {id: a, type: ai, after: [start], model: m, prompt: p}");
    let cost = Some("0.001".parse().unwrap());
    driver.end("a", Outcome::Failed { error: error(), retryable: true, cost });
    for _ in 0..2 * crate::engine::MAX_REMEMBERED_ATTEMPTS {
        driver.admit_after(60);
        driver.end("a", Outcome::RateLimited { until: driver.now });
    }
    driver.admit_after(60);
    driver.end("a", Outcome::Succeeded { output: json!({"text": ""}), cost });
    assert_eq!(driver.run.cost().to_string(), "0.002");
}

#[test]
fn a_dry_run_takes_the_first_status_that_the_node_expects() {
    let nodes = "[{id: s, type: source, kind: manual}, {id: a, type: http, after: [s], method: GET, \
                 url: 'https://a.example/', expect_status: [404, 410]}]";
    let definition = format!("name: t\nnodes: {nodes}");
    let mut driver = Driver::new(&definition, json!(null), json!({}), Mode::DryRun);
    driver.admit();
    let output = driver.request("a").simulated_output();
    driver.succeed("a", output);
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
    assert_eq!(driver.run.values().outputs[&name("a")]["status"], 404);
}

#[test]
fn a_foreign_journal_is_refused() {
    let driver = Driver::begun(ONE);
    let other = Driver::begun(POST.replace("id: a", "id: z").as_str());
    let replayed = Run::replay(&other.definition, driver.journal.clone());
    assert_eq!(replayed.err(), Some(StartError::OtherDefinition));
    let headless: Vec<Event> = driver.journal[1..].to_vec();
    assert_eq!(Run::replay(&driver.definition, headless).err(), Some(StartError::NoOpening));
    assert!(matches!(driver.journal[0].kind, EventKind::Opened(_)));
}

#[test]
fn what_does_not_fit_into_the_storage_fails_its_step() {
    let nodes = "  - {id: a, type: ai, after: [start], model: m, prompt: p}\n  \
                 - {id: t, type: transform, after: [start], output: \"{{ input.n }}\"}";
    let mut driver = Driver::begun(nodes);
    assert_eq!(driver.status("t"), StepStatus::Succeeded);
    driver.room = Some(10);
    driver.succeed("a", json!({"text": "more than ten bytes"}));
    assert_eq!(driver.run.status(), RunStatus::Failed);
    let Some(Reason::StepFailed { error, .. }) = driver.run.reason() else { panic!() };
    assert_eq!(error.code, StepErrorCode::QuotaExceeded);
}
