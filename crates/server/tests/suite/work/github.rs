//! What GitHub really sends: every example payload of `@octokit/webhooks-examples`, signed as GitHub signs,
//! runs the template "Issue triage". `scripts/test-deps` installs the package.

use super::hooks::{Hooked, signed};
use super::stage;
use crate::harness::{Server, assert_refused};
use futures::StreamExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

const SECRET: &str = "It's a Secret to Everybody";

/// Every distinct payload of every version of GitHub, with the name of its event.
fn payloads() -> Vec<(String, String)> {
    let deps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-deps/node/node_modules");
    let folder = deps.join("@octokit/webhooks-examples");
    let mut all = BTreeMap::new();
    for version in ["api.github.com", "ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35"] {
        let file = folder.join(version).join("index.json");
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("run scripts/test-deps: {}: {error}", file.display()));
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        for event in &events {
            for example in event["examples"].as_array().unwrap() {
                all.insert(example.to_string(), event["name"].as_str().unwrap().to_owned());
            }
        }
    }
    all.into_iter().collect()
}

/// Whether the template takes the payload for an issue to be triaged.
fn is_issue((payload, event): &(String, String)) -> bool {
    let payload: Value = serde_json::from_str(payload).unwrap();
    event == "issues"
        && payload["issue"].is_object()
        && matches!(payload["action"].as_str(), Some("opened" | "reopened" | "edited"))
}

async fn post(server: &Server, hooked: &Hooked, id: &str, (body, event): &(String, String)) -> (u16, Value) {
    let signature = signed(SECRET, body.as_bytes());
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-delivery", id),
        ("x-github-event", event.as_str()),
    ];
    for _ in 0..100 {
        let answer = hooked.deliver(server, &headers, body.as_bytes()).await;
        if answer.status.as_u16() != 429 {
            return (answer.status.as_u16(), answer.json());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the queue stayed full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_payload_runs_once_and_none_is_lost() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let template = json!({"name": "issue-triage", "definition": workflow_text()});
    server.operator.post("/v1/templates", &template).await.unwrap();
    let body = json!({"name": "Triage", "template": {"name": "issue-triage", "version": 1}, "config": {}});
    let hooked = Hooked::make(&tenant, body, "github-webhook", SECRET).await;

    let payloads = payloads();
    assert!(payloads.len() > 300, "{}", payloads.len());
    let (server, hooked) = (&server, &hooked);
    let deliveries = payloads.iter().enumerate();
    let accepted: Vec<_> = futures::stream::iter(deliveries)
        .map(|(number, body)| async move { post(server, hooked, &format!("d-{number}"), body).await })
        .buffered(8)
        .collect()
        .await;
    assert!(accepted.iter().all(|(status, _)| *status == 202));
    let ids: BTreeSet<&str> = accepted.iter().map(|(_, body)| body["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), payloads.len());

    for _ in 0..1_800 {
        let open = ["queued", "running", "waiting"].map(|status| format!("/v1/runs?limit=1&status={status}"));
        let mut left = 0;
        for path in open {
            left += tenant.owner.get(&path).await.unwrap()["data"].as_array().unwrap().len();
        }
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let issues = payloads.iter().filter(|payload| is_issue(payload)).count();
    assert!(issues > 0);
    let (mut runs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = tenant.owner.get(&format!("/v1/runs?limit=500{cursor}")).await.unwrap();
        runs.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(runs.len(), payloads.len());
    let failed: Vec<_> = runs.iter().filter(|run| run["status"] != "succeeded").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let usage = tenant.owner.get("/v1/usage?group_by=model").await.unwrap();
    assert_eq!(usage["data"][0]["ai_calls"], json!(issues));

    // A repeated delivery runs no second time, and one with a wrong signature not at all.
    let (status, again) = post(server, hooked, "d-0", &payloads[0]).await;
    assert_eq!((status, &again), (200, &accepted[0].1));
    let signature = signed("wrong", payloads[1].0.as_bytes());
    let headers = [("x-hub-signature-256", signature.as_str()), ("x-github-delivery", "forged")];
    let forged = hooked.deliver(server, &headers, payloads[1].0.as_bytes()).await;
    assert_refused(&forged, 401, "hook_refused");
}

fn workflow_text() -> &'static str {
    include_str!("../../../../workflow/templates/issue-triage.yaml")
}
