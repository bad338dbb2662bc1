//! Limits over the wire, under many calls at once, when a tenant is full, and as the tenant sees them.

use super::{World, ask, ask_stream, eventually};
use crate::harness::{Server, assert_refused, send, send_json};
use futures::future::join_all;
use http::Method;
use money::Usd;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn usd(value: &Value) -> Usd {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once_spend_no_more_than_the_budget() {
    let server = Server::start_with("[limits]\nparallel_model_calls = 2000\n", &[]);
    let tenant = server.tenant("acme").await;
    let path = format!("/v1/budgets/tenant/{}", tenant.id);
    // Some sixteen worst cases, and a few hundred times what a call costs.
    tenant.owner.put(&path, &json!({"per": "day", "usd": "0.04"})).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let watching = {
        let (owner, over) = (tenant.owner.clone(), over.clone());
        tokio::spawn(async move {
            let mut looks = 0;
            while !over.load(Ordering::SeqCst) {
                let budget = owner.get("/v1/budgets").await.unwrap()["data"][0].clone();
                let held = usd(&budget["spent"]).plus(usd(&budget["reserved"]));
                assert!(held <= usd(&budget["usd"]), "{budget}");
                looks += 1;
            }
            looks
        })
    };
    let calls = (0..1000).map(|_| {
        let owner = tenant.owner.clone();
        tokio::spawn(async move {
            let answer = send_json(&owner, Method::POST, "/v1/chat/completions", &ask("offline")).await;
            (answer.status.as_u16(), answer.json()["code"].clone())
        })
    });
    let (mut answered, mut refused) = (0, 0);
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            (200, _) => answered += 1,
            (429, code) if code == "budget_exceeded" => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    over.store(true, Ordering::SeqCst);
    assert!(watching.await.unwrap() > 0);
    assert!(answered > 10 && answered + refused == 1000, "{answered} answered, {refused} refused");
    let budget = tenant.owner.get("/v1/budgets").await.unwrap()["data"][0].clone();
    assert_eq!(budget["reserved"], "0.00");
    let usage = tenant.owner.get("/v1/usage").await.unwrap()["data"][0].clone();
    assert_eq!((&usage["ai_calls"], &usage["cost_usd"]), (&json!(answered), &budget["spent"]));
}

#[tokio::test]
async fn streams_say_where_the_window_stands() {
    let world = World::with("", json!({"ai_calls_per_hour": 5})).await;
    let stream = world.chat(ask_stream("gpt-test")).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(stream.header("ratelimit").map(|text| text.starts_with(r#""ai";r=4;"#)), Some(true));
    assert_eq!(stream.header("ratelimit-policy"), Some(r#""ai";q=5;w=3600"#));
}

#[tokio::test]
async fn a_full_tenant_reads_and_deletes_and_its_log_goes_on() {
    let server = Server::start();
    let tenant = server.tenant_on("small", &json!({"storage_bytes": 600_000}), "acme").await;
    let mut records = vec![tenant.record().await];
    let large = json!({"text": "x".repeat(50_000)});
    let refused = loop {
        let answer = send_json(&tenant.owner, Method::POST, "/v1/records/contacts", &large).await;
        if answer.status != 201 {
            break answer;
        }
        records.push(answer.json()["id"].as_str().unwrap().to_owned());
        assert!(records.len() < 50, "it never fills");
    };
    assert_refused(&refused, 429, "quota_exceeded");
    assert_eq!(refused.header("retry-after"), Some("600"));
    let limits = tenant.owner.get("/v1/limits").await.unwrap();
    assert_eq!(limits["storage"]["limit"], 600_000);
    assert!(limits["storage"]["bytes"].as_u64().unwrap() > 300_000, "{limits}");

    let path = |id: &str| format!("/v1/records/contacts/{id}");
    let before = tenant.events("action=record.delete").await.len();
    assert_eq!(send(&tenant.owner, Method::GET, &path(&records[0])).await.status, 200);
    for id in records.drain(..) {
        assert_eq!(send(&tenant.owner, Method::DELETE, &path(&id)).await.status, 204);
    }
    assert!(tenant.events("action=record.delete").await.len() > before, "what a full tenant does is logged");
    let again = send_json(&tenant.owner, Method::POST, "/v1/records/contacts", &large).await;
    assert_eq!(again.status, 201, "there is room again: {}", again.text());
}

#[tokio::test]
async fn a_tenant_sees_all_its_limits() {
    let limits = json!({"ai_calls_per_hour": 9, "requests_per_second": 50, "concurrent_runs": 3});
    let world = World::with("", limits).await;
    let shown = world.client.get("/v1/limits").await.unwrap();
    let named = |list: &str, name: &str| {
        let found = shown[list].as_array().unwrap().iter().find(|it| it["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("{name} is missing: {shown}"))
    };
    assert_eq!(named("windows", "ai")["remaining"], 9);
    let requests = named("windows", "requests");
    assert_eq!((&requests["limit"], &requests["window_seconds"]), (&json!(50), &json!(1)));
    assert!(requests["remaining"].as_u64().unwrap() < 50, "this very request counts");
    let runs = named("concurrency", "runs");
    assert_eq!((&runs["limit"], &runs["under_way"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn a_budget_that_is_set_while_another_takes_it_away_is_answered() {
    let world = World::new().await;
    let path = format!("/v1/budgets/tenant/{}", world.tenant.id);
    let body = json!({"per": "day", "usd": "1"});
    let rounds = (0..60).map(async |_| {
        let set = send_json(&world.client, Method::PUT, &path, &body);
        let (set, _) = tokio::join!(set, send(&world.client, Method::DELETE, &path));
        assert!(matches!(set.status.as_u16(), 200 | 412), "{}", set.text());
    });
    join_all(rounds).await;
}

#[tokio::test]
async fn a_step_that_found_no_place_goes_on_when_there_is_one() {
    let world = World::with("[limits]\nparallel_model_calls = 1\n", json!({})).await;
    let client = world.client.clone();
    let held = tokio::spawn(async move {
        let call = client.call(Method::POST, "/v1/chat/completions").json(&ask_stream("slow")).unwrap();
        call.listen(Duration::from_secs(60)).await
    });
    eventually("the one place is taken", async || (!world.provider.requests().is_empty()).then_some(()))
        .await;
    let asking = world.asking("gpt-test", 30).await;
    let run = crate::work::start(&world.client, &asking, Value::Null).await;
    crate::work::until(&world.client, &run, |run| run["status"] == "waiting").await;
    held.abort();
    let run = crate::work::over(&world.client, &run).await;
    assert_eq!((&run["status"], &run["cost_usd"]), (&json!("succeeded"), &json!("0.000081")), "{run}");
}
