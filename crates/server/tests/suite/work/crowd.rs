//! Many runs at once: a tenant has as many under way as it may, and what one does another does not feel.

use super::{over, stage, start, step, workflow};
use crate::harness::{assert_refused, send_json};
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn call(url: &str) -> Value {
    json!({"name": "Call", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "call", "type": "http", "method": "POST", "after": ["start"], "url": url},
    ]})
}

#[tokio::test]
async fn a_flood_of_one_tenant_does_not_hold_up_another() {
    let (server, service) = stage().await;
    let loud = server.tenant_on("two_runs", &json!({"concurrent_runs": 2}), "Loud").await;
    let quiet = server.tenant_on("two_runs", &json!({"concurrent_runs": 2}), "Quiet").await;
    let flood = workflow(&loud, &call(&service.url("/slow/300"))).await;
    let calm = workflow(&quiet, &call(&service.url("/ok/quiet"))).await;
    for _ in 0..120 {
        start(&loud.owner, &flood, Value::Null).await;
    }
    for _ in 0..5 {
        let begun = begun();
        let run = start(&quiet.owner, &calm, Value::Null).await;
        assert_eq!(over(&quiet.owner, &run).await["status"], "succeeded");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let left = loud.owner.get("/v1/runs?status=queued&limit=500").await.unwrap();
    assert!(left["data"].as_array().unwrap().len() > 20, "the flood was over before it could be felt");
    assert!(service.peak("/slow") <= 2, "{}", service.peak("/slow"));
}

#[expect(clippy::disallowed_methods, reason = "how long someone waits is what is measured")]
fn begun() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn an_upstream_that_hangs_takes_only_its_tenants_places() {
    let (server, service) = stage().await;
    let stuck = server.tenant("Stuck").await;
    let other = server.tenant("Other").await;
    let mut call_to_hang = call(&service.url("/slow/60000"));
    // Longer than the test takes on a busy machine: a call that was given up here is under way there for a while.
    call_to_hang["nodes"][1]["timeout"] = json!(600);
    let hanging = workflow(&stuck, &call_to_hang).await;
    let calm = workflow(&other, &call(&service.url("/ok/other"))).await;
    // More than there are places for runs of all tenants together.
    for _ in 0..300 {
        start(&stuck.owner, &hanging, Value::Null).await;
    }
    let run = start(&other.owner, &calm, Value::Null).await;
    assert_eq!(over(&other.owner, &run).await["status"], "succeeded");
    let running = stuck.owner.get("/v1/runs?status=running&limit=500").await.unwrap();
    // A run whose call finds no place outside is put off, and may be seen on its way there.
    assert!(running["data"].as_array().unwrap().len() <= 32, "{running}");
    assert!(service.peak("/slow") <= 16, "{}", service.peak("/slow"));
}

#[tokio::test]
async fn more_calls_than_may_be_outside_at_once_go_in_turn_and_none_is_put_off() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Busy").await;
    let flow = workflow(&tenant, &call(&service.url("/slow/500"))).await;
    let mut runs = Vec::new();
    for _ in 0..32 {
        runs.push(start(&tenant.owner, &flow, Value::Null).await);
    }
    for run in &runs {
        let run = over(&tenant.owner, run).await;
        assert_eq!(
            (&run["status"], &step(&run, "call")["attempts"]),
            (&json!("succeeded"), &json!(1)),
            "{run}"
        );
    }
    assert_eq!(service.peak("/slow"), 16);
    assert_eq!(service.seen("/slow").len(), 32);
}

#[tokio::test]
async fn a_full_queue_is_told_and_a_full_window_is_waited_for() {
    let (server, service) = stage().await;
    let tenant = server.tenant_on("no_runs", &json!({"concurrent_runs": 0}), "Full").await;
    let flow = workflow(&tenant, &call(&service.url("/ok"))).await;
    let path = format!("/v1/workflows/{flow}/runs");
    for _ in 0..1_000 {
        let answer = send_json(&tenant.owner, Method::POST, &path, &json!({})).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
    }
    let answer = send_json(&tenant.owner, Method::POST, &path, &json!({})).await;
    assert_refused(&answer, 429, "concurrency_limited");
    assert!(answer.header("retry-after").is_some());

    let tenant = server.tenant_on("one_call", &json!({"api_calls_per_hour": 1}), "Narrow").await;
    let flow = workflow(&tenant, &call(&service.url("/ok/narrow"))).await;
    let first = start(&tenant.owner, &flow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &first).await["status"], "succeeded");
    let second = start(&tenant.owner, &flow, Value::Null).await;
    let second = super::until(&tenant.owner, &second, |run| run["status"] == "waiting").await;
    assert!(second["due"].is_string(), "{second}");
    assert_eq!(service.seen("/ok/narrow").len(), 1);
}
