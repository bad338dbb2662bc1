//! Orders to runs: cancelling them, letting them go on, and what suspending the tenant does to them.

use super::{eventually, over, stage, start, step, until, workflow};
use crate::harness::{assert_refused, send, send_json};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

fn calls(urls: &[String]) -> Value {
    let mut nodes = vec![json!({"id": "start", "type": "source", "kind": "manual"})];
    for (number, url) in urls.iter().enumerate() {
        let before = if number == 0 { "start".to_owned() } else { format!("call{}", number - 1) };
        nodes
            .push(json!({"id": format!("call{number}"), "type": "http", "method": "POST", "after": [before],
            "url": url, "body": {"number": number}}));
    }
    json!({"name": "Calls", "nodes": nodes})
}

#[tokio::test]
async fn a_run_is_cancelled_wherever_it_is() {
    let (server, service) = stage().await;
    let tenant = server.tenant_on("one_run", &json!({"concurrent_runs": 1}), "Acme").await;
    let workflow = workflow(&tenant, &calls(&[service.url("/slow/60000"), service.url("/never")])).await;
    let running = start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !service.seen("/slow").is_empty()).await;
    let queued = start(&tenant.owner, &workflow, Value::Null).await;
    for run in [&queued, &running] {
        let path = format!("/v1/runs/{run}/cancel");
        let cancelled = tenant.owner.post(&path, &json!({})).await.unwrap();
        assert_eq!(cancelled, json!({"id": run, "status": "cancelled"}));
        // Once more is no other order.
        assert_eq!(tenant.owner.post(&path, &json!({})).await.unwrap(), cancelled);
    }
    let seen = over(&tenant.owner, &running).await;
    assert_eq!(step(&seen, "call0")["status"], "cancelled");
    assert!(service.seen("/never").is_empty());
    // The place is free again.
    let shape = json!({"name": "Quick", "nodes": [{"id": "start", "type": "source", "kind": "manual"}]});
    let quick = super::workflow(&tenant, &shape).await;
    let quick = start(&tenant.owner, &quick, Value::Null).await;
    assert_eq!(over(&tenant.owner, &quick).await["status"], "succeeded");
    let refused = send(&tenant.owner, Method::POST, &format!("/v1/runs/{quick}/cancel")).await;
    assert_refused(&refused, 409, "conflict");
    let orders = tenant.events("action=run.cancel").await;
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[0]["actor"]["id"], tenant.key_id);
}

#[tokio::test]
async fn a_run_goes_on_from_a_step_and_repeats_nothing_before_it() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let urls = ["/ok/first", "/flaky/1", "/ok/last"].map(|path| service.url(path));
    let workflow = workflow(&tenant, &calls(&urls)).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(over(&tenant.owner, &run).await["status"], "failed");
    let path = format!("/v1/runs/{run}/retry");
    for (from, status, code) in [("nowhere", 400, "invalid_request"), ("call2", 409, "conflict")] {
        let answer = send_json(&tenant.owner, Method::POST, &path, &json!({"from_step": from})).await;
        assert_refused(&answer, status, code);
    }
    // Without a body it goes on from what failed, with the same key: the service shall know the repeat.
    let answer = send(&tenant.owner, Method::POST, &path).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["status"]),
        (202, &json!("queued")),
        "{}",
        answer.text()
    );
    let seen = until(&tenant.owner, &run, |run| run["status"] == "succeeded").await;
    assert_eq!(step(&seen, "call1")["attempts"], 2);
    assert_eq!(service.seen("/ok/first").len(), 1);
    assert_eq!(service.by_key("/flaky").into_values().collect::<Vec<_>>(), [2]);

    // A step that had succeeded is another deed when it is done again.
    let again = tenant.owner.post(&path, &json!({"from_step": "call2"})).await.unwrap();
    assert_eq!(again["status"], "queued");
    eventually(|| service.seen("/ok/last").len() == 2).await;
    assert_eq!(service.by_key("/ok/last").len(), 2);
    assert_eq!(over(&tenant.owner, &run).await["status"], "succeeded");
    let refused = send(&tenant.owner, Method::POST, &path).await;
    assert_refused(&refused, 409, "conflict");
    assert_eq!(tenant.events("action=run.retry").await.len(), 2);
}

#[tokio::test]
async fn a_suspended_tenants_runs_wait_and_go_on() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let urls = ["/slow/1000", "/ok/second"].map(|path| service.url(path));
    let workflow = workflow(&tenant, &calls(&urls)).await;
    let run = start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !service.seen("/slow").is_empty()).await;
    let path = format!("/v1/tenants/{}", tenant.id);
    server.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    // The step under way ended, and none began after it.
    assert!(service.seen("/ok").is_empty());
    server.operator.post(&format!("{path}/resume"), &json!({})).await.unwrap();
    let run = over(&tenant.owner, &run).await;
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!((service.seen("/slow").len(), service.seen("/ok").len()), (1, 1));
}

#[tokio::test]
async fn a_deleted_tenants_runs_end() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let urls = ["/slow/1500", "/ok/never"].map(|path| service.url(path));
    let workflow = workflow(&tenant, &calls(&urls)).await;
    start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !service.seen("/slow").is_empty()).await;
    let answer = send(&server.operator, Method::DELETE, &format!("/v1/tenants/{}", tenant.id)).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(service.seen("/ok").is_empty());
}
