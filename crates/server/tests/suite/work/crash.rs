//! Runs survive the end of the server at any moment: none is lost, and no step is performed twice that must
//! not be.

use super::{eventually, over, stage, start, step, until, workflow};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn chain(nodes: Vec<Value>) -> Value {
    let mut all = vec![json!({"id": "start", "type": "source", "kind": "manual"})];
    for mut node in nodes {
        node["after"] = json!([all.last().unwrap()["id"]]);
        all.push(node);
    }
    json!({"name": "Chain", "nodes": all})
}

#[tokio::test]
async fn a_run_goes_on_where_it_was() {
    let (mut server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let workflow = workflow(&tenant, &chain(vec![
        json!({"id": "before", "type": "http", "method": "POST", "url": service.url("/ok/before")}),
        json!({"id": "remember", "type": "record", "operation": "create", "collection": "contacts", "fields": {"a": 1}}),
        json!({"id": "during", "type": "http", "method": "PUT", "url": service.url("/slow/2000")}),
        json!({"id": "after", "type": "http", "method": "POST", "url": service.url("/ok/after")}),
    ])).await;
    let run = start(&tenant.owner, &workflow, json!({"a": "canary"})).await;
    eventually(|| !service.seen("/slow").is_empty()).await;
    server.crash_and_restart();
    let owner = tenant.owner_at(&server);
    let run = over(&owner, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!((service.seen("/ok/before").len(), service.seen("/ok/after").len()), (1, 1));
    // Whether the call took effect was unknown; PUT may be repeated, with the same key.
    assert_eq!(service.by_key("/slow").into_values().collect::<Vec<_>>(), [2]);
    assert_eq!(owner.get("/v1/records/contacts").await.unwrap()["data"].as_array().unwrap().len(), 1);
    assert!(!crate::harness::events(&owner, "/v1/audit/events", "actor=run_recovery").await.is_empty());
}

#[tokio::test]
async fn what_must_not_be_repeated_stops_the_run() {
    let (mut server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let workflow = workflow(
        &tenant,
        &chain(vec![
            json!({"id": "during", "type": "http", "method": "POST", "url": service.url("/slow/1500"),
                "timeout": 3}),
            json!({"id": "after", "type": "http", "method": "POST", "url": service.url("/ok/after")}),
        ]),
    )
    .await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !service.seen("/slow").is_empty()).await;
    server.crash_and_restart();
    let owner = tenant.owner_at(&server);
    let seen = over(&owner, &run).await;
    assert_eq!((&seen["status"], &step(&seen, "during")["status"]), (&json!("failed"), &json!("unknown")));
    assert_eq!((service.seen("/slow").len(), service.seen("/ok").len()), (1, 0));
    // Someone who looked may let it go on.
    owner.post(&format!("/v1/runs/{run}/retry"), &json!({})).await.unwrap();
    let seen = until(&owner, &run, |run| run["status"] == "succeeded").await;
    assert_eq!(step(&seen, "during")["status"], "succeeded");
    // When its lease is over, the call that nobody knows of has an outcome that names its intent.
    let calls = async || crate::harness::events(&owner, "/v1/audit/events", "action=http.call").await;
    let intent = calls().await.pop().unwrap();
    let mut unknown = None;
    for _ in 0..300 {
        unknown = calls().await.into_iter().find(|event| event["result"] == "outcome_unknown");
        if unknown.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let unknown = unknown.unwrap();
    assert_eq!((&intent["result"], &unknown["intent"]), (&json!("intent"), &intent["event_id"]));
    assert_eq!(unknown["details"]["call"], intent["details"]["call"]);
}

#[tokio::test]
async fn a_run_that_waits_wakes_after_a_restart() {
    let (mut server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let retry = json!({"max_attempts": 2, "backoff": {"initial_seconds": 4, "max_seconds": 4}});
    let workflow = workflow(&tenant, &chain(vec![
        json!({"id": "call", "type": "http", "method": "POST", "url": service.url("/flaky/1"), "retry": retry}),
    ])).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    until(&tenant.owner, &run, |run| run["status"] == "waiting").await;
    server.crash_and_restart();
    let run = over(&tenant.owner_at(&server), &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(service.by_key("/flaky").into_values().collect::<Vec<_>>(), [2]);
}

/// Thirty runs of four calls that must not be repeated, and the server falls over six times meanwhile.
#[tokio::test]
async fn nothing_is_lost_and_nothing_done_twice_over_many_crashes() {
    let (mut server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let call =
        |name: &str| json!({"id": name, "type": "http", "method": "POST", "url": service.url("/slow/40")});
    let workflow = workflow(&tenant, &chain(["a", "b", "c", "d"].map(call).into())).await;
    let mut runs = Vec::new();
    for _ in 0..30 {
        runs.push(start(&tenant.owner, &workflow, Value::Null).await);
    }
    for crash in 0..6u64 {
        tokio::time::sleep(Duration::from_millis(120 + 70 * crash)).await;
        server.crash_and_restart();
    }
    let owner = tenant.owner_at(&server);
    let mut unknown = 0;
    for run in &runs {
        let run = over(&owner, run).await;
        match run["status"].as_str().unwrap() {
            "succeeded" => {}
            _ => {
                let stopped = run["steps"].as_array().unwrap().iter().any(|step| step["status"] == "unknown");
                assert!(stopped, "{run}");
                unknown += 1;
            }
        }
    }
    let keys = service.by_key("/slow");
    assert!(keys.values().all(|count| *count == 1), "{keys:?}");
    // Every run that went through made all its calls.
    assert!(keys.len() >= (runs.len() - unknown) * 4, "{} calls, {unknown} runs stopped", keys.len());
    assert_eq!(runs_of(&owner).await, runs.len());
    drop(server);
}

async fn runs_of(owner: &client::Client) -> usize {
    owner.get("/v1/runs?limit=500").await.unwrap()["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_leaves_no_step_unknown() {
    let (mut server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let workflow = workflow(
        &tenant,
        &chain(vec![
            json!({"id": "during", "type": "http", "method": "POST", "url": service.url("/slow/1500")}),
            json!({"id": "after", "type": "http", "method": "POST", "url": service.url("/ok/after")}),
        ]),
    )
    .await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !service.seen("/slow").is_empty()).await;
    server.stop_and_restart().await;
    let run = over(&tenant.owner_at(&server), &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!((service.seen("/slow").len(), service.seen("/ok").len()), (1, 1));
}

/// A run that waits for some seconds and then succeeds.
async fn waiting(tenant: &crate::harness::Tenant, url: &str) -> String {
    let retry = json!({"max_attempts": 2, "backoff": {"initial_seconds": 4, "max_seconds": 4}});
    let call = json!({"id": "call", "type": "http", "method": "POST", "url": url, "retry": retry});
    let workflow = workflow(tenant, &chain(vec![call])).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    until(&tenant.owner, &run, |run| run["status"] == "waiting").await;
    run
}

#[tokio::test]
async fn a_tenant_whose_store_is_damaged_keeps_no_other_from_going_on() {
    let (mut server, service) = stage().await;
    let (damaged, sound) = (server.tenant("Damaged").await, server.tenant("Sound").await);
    assert!(damaged.id < sound.id, "recovery goes by ids");
    let first = waiting(&damaged, &service.url("/flaky/1/damaged")).await;
    let second = waiting(&sound, &service.url("/flaky/1/sound")).await;
    let file = |folder: &Path| {
        let regions = std::fs::read_dir(folder.join("regions")).unwrap();
        let name = format!("tenants/{}.db", damaged.id);
        regions.map(|region| region.unwrap().path().join(&name)).find(|file| file.exists()).unwrap()
    };
    let mut whole = Vec::new();
    let damage = |folder: &Path| {
        whole = std::fs::read(file(folder)).unwrap();
        std::fs::write(file(folder), vec![7; whole.len()]).unwrap();
    };
    server.stop_and_change(damage).await;
    let run = over(&sound.owner_at(&server), &second).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    server.stop_and_change(|folder| std::fs::write(file(folder), &whole).unwrap()).await;
    let run = over(&damaged.owner_at(&server), &first).await;
    assert_eq!(run["status"], "succeeded", "{run}");
}

#[tokio::test]
async fn a_run_that_was_restored_into_a_suspended_tenant_goes_on_when_it_takes_part_again() {
    let (mut server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let run = waiting(&tenant, &service.url("/flaky/1/restored")).await;
    let path = |what: &str| format!("/v1/tenants/{}/{what}", tenant.id);
    let backup = crate::harness::send(&server.operator, http::Method::POST, &path("backup")).await;
    assert_eq!(backup.status.as_u16(), 200, "{}", backup.text());
    server.operator.post(&path("suspend"), &json!({})).await.unwrap();
    let restore = server.operator.call(http::Method::POST, &path("restore?allow_older=true"));
    let restored = restore.body("application/octet-stream", backup.body.clone()).send().await.unwrap();
    assert_eq!(restored.status.as_u16(), 200, "{}", restored.text());
    server.crash_and_restart();
    server.operator.post(&path("resume"), &json!({})).await.unwrap();
    let run = over(&tenant.owner_at(&server), &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
}
