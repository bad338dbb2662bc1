//! The shipped templates, run to their ends.

use super::drive::{Driver, name};
use crate::definition::check_config;
use crate::engine::{Command, Mode, Reason, Request, RunStatus, StepStatus};
use crate::{INBOUND_LEAD_TRIAGE, ISSUE_TRIAGE};
use serde_json::{Value, json};

fn lead(input: Value, mode: Mode) -> Driver {
    let config = json!({
        "crm_url": "https://crm.example.com/api/", "default_owner": "ops",
        "routing": {"de": "anna", "emea": "emil"}, "signature": "none",
    });
    let mut driver = Driver::new(INBOUND_LEAD_TRIAGE, input, config.clone(), mode);
    assert_eq!(check_config(&driver.definition, &config), []);
    driver.admit();
    driver
}

fn owner(driver: &Driver) -> Value {
    match driver.request("hand_over") {
        Request::Http { body: Some(body), url, credential, .. } => {
            assert_eq!(url, "https://crm.example.com/api/leads");
            assert_eq!(credential.as_ref().unwrap().as_str(), "crm");
            body["owner"].clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hot_lead_goes_to_its_owner_and_becomes_a_contact() {
    for (place, expected) in [
        (json!({"country": "DE"}), "anna"),
        (json!({"country": "FR", "region": "EMEA"}), "emil"),
        (json!({"country": "US"}), "ops"),
        (json!({"country": null}), "ops"),
        (json!({}), "ops"),
    ] {
        let mut input = json!({"email": "ada@example.com", "message": "We need 50 seats in May."});
        input.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        let mut driver = lead(input, Mode::Live);
        assert!(matches!(driver.request("classify"), Request::Ai { model, .. } if model == "offline"));
        driver.succeed("classify", json!({"label": "hot", "reason": "a date"}));
        assert_eq!(owner(&driver), json!(expected));
        assert!(matches!(driver.request("remember"), Request::Record { matching, .. }
            if matching["email"] == json!("ada@example.com")));
        driver.succeed("hand_over", json!({"status": 201, "body": {"id": 1}}));
        driver.succeed("remember", json!({"id": "rec_1"}));
        assert_eq!(driver.run.status(), RunStatus::Succeeded);
    }
}

#[test]
fn a_cold_lead_only_becomes_a_contact() {
    let mut driver = lead(json!({"email": "a@example.com", "name": "{{ config }}"}), Mode::Live);
    assert!(
        matches!(driver.request("classify"), Request::Ai { prompt, .. } if prompt.contains("{{ config }}"))
    );
    driver.succeed("classify", json!({"label": "cold", "reason": "{{ config.crm_url }}"}));
    assert_eq!(driver.status("hand_over"), StepStatus::Skipped);
    assert!(matches!(driver.request("remember"), Request::Record { fields, .. }
        if fields["reason"] == json!("{{ config.crm_url }}") && fields["company"].is_null()));
    driver.succeed("remember", json!({"id": "rec_1"}));
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
}

#[test]
fn a_dry_run_sends_nothing_and_says_so() {
    let mut driver = lead(json!({"email": "a@example.com"}), Mode::DryRun);
    while let Some((node, command)) = driver.open.pop_first() {
        let Command::Perform { request, dry_run, .. } = &command else { panic!() };
        assert!(dry_run);
        let output = request.simulated_output();
        driver.open.insert(node.clone(), command.clone());
        driver.succeed(node.as_str(), output);
    }
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
    let outputs = &driver.run.values().outputs;
    assert_eq!(outputs[&name("classify")], json!({"label": "hot", "reason": "", "dry_run": true}));
    assert_eq!(outputs[&name("hand_over")], json!({"status": 200, "body": null, "dry_run": true}));
    assert_eq!(outputs[&name("remember")]["dry_run"], json!(true));
}

#[test]
fn a_lead_without_an_address_fails_with_a_reason() {
    let mut driver = lead(json!({"name": "Ada"}), Mode::Live);
    driver.succeed("classify", json!({"label": "cold", "reason": ""}));
    assert!(
        matches!(driver.run.reason(), Some(Reason::StepFailed { node, .. }) if *node == name("remember"))
    );
}

fn issue(input: Value) -> Driver {
    let mut driver = Driver::new(ISSUE_TRIAGE, input, json!({}), Mode::Live);
    driver.admit();
    driver
}

#[test]
fn an_issue_is_triaged() {
    let mut driver = issue(json!({
        "action": "opened", "repository": {"full_name": "a/b"},
        "issue": {"number": 7, "title": "It breaks", "body": null, "html_url": "https://g.example/7"},
    }));
    driver.succeed("classify", json!({"label": "bug", "reason": "it breaks"}));
    assert!(matches!(driver.request("remember"), Request::Record { fields, .. }
        if fields["number"] == json!(7) && fields["repository"] == json!("a/b")));
    driver.succeed("remember", json!({"id": "rec_1"}));
    assert_eq!(driver.run.status(), RunStatus::Succeeded);
}

#[test]
fn every_other_event_ends_without_effect() {
    for input in [
        json!({}),
        json!(null),
        json!([1]),
        json!("text"),
        json!({"zen": "Keep it logically awesome.", "hook_id": 1}),
        json!({"action": "opened"}),
        json!({"action": null, "issue": {"title": "x"}}),
        json!({"action": "opened", "issue": null}),
        json!({"action": "opened", "issue": "7"}),
        json!({"issue": {"title": "x"}}),
        json!({"action": "deleted", "issue": {"title": "x"}}),
        json!({"action": {"a": 1}, "issue": {"title": "x"}}),
    ] {
        let driver = issue(input.clone());
        assert_eq!(driver.run.status(), RunStatus::Succeeded, "{input}: {:?}", driver.run.reason());
        assert!(driver.performed.is_empty());
    }
}

#[test]
fn a_bare_issue_is_enough() {
    for (issue_part, repository) in [
        (json!({}), json!(null)),
        (json!({"title": null, "body": 3, "number": null}), json!("a/b")),
        (json!({"url": "https://g.example/7"}), json!({})),
    ] {
        let mut driver = issue(json!({"action": "opened", "issue": issue_part, "repository": repository}));
        driver.succeed("classify", json!({"label": "bug", "reason": ""}));
        assert!(driver.open.contains_key(&name("remember")), "{:?}", driver.run.reason());
    }
}
