//! What the server tells: of the audit log, and of the configuration.

use super::{EAR, heard, key, listen};
use crate::harness::{Server, Tenant, assert_refused, send, send_json};
use client::Client;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// The beginning of a log.
const BEGINNING: &str = "0000000000000001.0";

/// What is listened to until so much was heard, going on where it was each time.
async fn hear(who: &Client, subject: &str, from: &str, wanted: usize) -> Vec<(String, String, Value)> {
    let (mut from, mut events) = (from.to_owned(), Vec::new());
    for _ in 0..20 {
        let more = heard(&listen(who, subject, Some(&from)).await);
        // What has no place is told anew to whoever comes back.
        let placed = more.into_iter().filter(|(id, _, _)| !id.is_empty());
        events.extend(placed.inspect(|(id, _, _)| from.clone_from(id)));
        if events.len() >= wanted {
            return events;
        }
    }
    panic!("only this was heard under {subject}: {events:?}");
}

fn data(events: &[(String, String, Value)]) -> Vec<&Value> {
    events.iter().map(|(_, _, data)| &data["data"]).collect()
}

#[tokio::test]
async fn what_is_written_to_the_audit_log_is_told_in_its_tenant_alone() {
    let server = Server::start();
    let (one, two) = (server.tenant("One").await, server.tenant("Two").await);
    let acting = async {
        tokio::time::sleep(EAR).await;
        one.record().await;
    };
    let long = one.owner.call(Method::GET, "/v1/subjects/audit.record.%3E").listen(Duration::from_secs(2));
    let (live, other, ()) = tokio::join!(long, listen(&two.owner, "audit.record.%3E", None), acting);
    let live = heard(&live.unwrap());
    assert_eq!(heard(&other), []);
    let [(place, name, message)] = live.as_slice() else { panic!("{live:?}") };
    assert_eq!(name, "message");
    assert_eq!(message["subject"], json!(format!("tenant.{}.audit.record.create", one.id)));
    assert_eq!(message["publisher"], "server");
    // It names the event, and has nothing of it.
    let found = one.events("action=record.create").await;
    let index = found[0]["seq"].clone();
    let told = json!({"event": found[0]["event_id"], "action": "record.create", "sequence": index});
    assert_eq!(message["data"], told);
    assert_eq!(*place, format!("0000000000000001.{}", index.as_u64().unwrap() + 1));
    // The whole log can be gone through, and each part of it is told once.
    let all = hear(&one.owner, "audit.%3E", BEGINNING, 3).await;
    let numbers: Vec<_> = data(&all).iter().map(|data| data["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert!(all.iter().any(|(id, _, _)| id == place));
    let missed = heard(&listen(&one.owner, "audit.%3E", Some("0000000000000002.1")).await);
    assert_eq!(missed.first().map(|(_, name, _)| name.as_str()), Some("missed"));
    let path = format!("/v1/subjects/tenant.{}.audit.%3E", one.id);
    assert_refused(&send(&two.owner, Method::GET, &path).await, 404, "not_found");
}

#[tokio::test]
async fn a_change_of_the_configuration_is_told_by_name() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let (viewer_id, viewer) = key(&tenant, "viewer", &["*"]).await;
    let (_, narrow) = key(&tenant, "owner", &["records:*"]).await;
    let agent = tenant.agent().await;
    tenant.record().await;
    let change = json!({"limits": {"ai_calls_per_hour": 7}});
    let path = format!("/v1/tenants/{}", tenant.id);
    assert_eq!(send_json(&server.operator, Method::PATCH, &path, &change).await.status, 200);
    let told = hear(&tenant.owner, "config.changed", BEGINNING, 6).await;
    let what: Vec<_> = data(&told).iter().map(|it| it["action"].as_str().unwrap().to_owned()).collect();
    let changes = ["tenant.create", "api_key.create", "api_key.create", "api_key.create", "agent.create"];
    assert_eq!(what[..5], changes);
    assert_eq!(what[5..], ["tenant.update"], "what is written alone configures nothing");
    assert_eq!(data(&told)[4]["id"], json!(agent));
    // Which key it is, only those learn who may read all keys.
    let seen = hear(&viewer, "config.>".replace('>', "%3E").as_str(), BEGINNING, 6).await;
    assert_eq!((&data(&seen)[2]["changed"], data(&seen)[2].get("id")), (&json!("api_key"), None));
    assert_eq!(data(&told)[2]["id"], json!(viewer_id));
    assert_eq!(data(&seen)[4]["id"], json!(agent));
    assert_refused(&send(&narrow, Method::GET, "/v1/subjects/config.%3E").await, 403, "forbidden");
    assert_refused(&send(&viewer, Method::GET, "/v1/subjects/audit.%3E").await, 403, "forbidden");
}

/// What is listened to for a while in which something is done.
async fn during(tenant: &Tenant, subject: &str, act: impl Future<Output = ()>) -> Vec<Value> {
    let path = format!("/v1/subjects/{subject}");
    let listening = tenant.owner.call(Method::GET, &path).listen(Duration::from_secs(2));
    let acting = async {
        tokio::time::sleep(EAR).await;
        act.await;
    };
    let (answer, ()) = tokio::join!(listening, acting);
    heard(&answer.unwrap()).into_iter().map(|(_, _, message)| message["data"].clone()).collect()
}

#[tokio::test]
async fn what_changes_for_many_tenants_is_told_to_each() {
    let server = Server::start();
    let all = json!({});
    let (starter, other) =
        (server.tenant_on("basic", &all, "One").await, server.tenant_on("large", &all, "Two").await);
    let plan = json!({"ai_calls_per_hour": 5, "api_calls_per_hour": null, "requests_per_second": 50,
        "concurrent_runs": 1, "storage_bytes": null});
    let put = async {
        let answer = send_json(&server.operator, Method::PUT, "/v1/plans/basic", &plan).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let (told, untold) =
        tokio::join!(during(&starter, "config.%3E", put), during(&other, "config.%3E", async {}));
    assert_eq!(told, [json!({"changed": "plan"})]);
    assert_eq!(untold, Vec::<Value>::new());
    // Whoever was away is told to look at what has no place in the log.
    let back = heard(&listen(&starter.owner, "config.%3E", Some("0000000000000001.2")).await);
    let back: Vec<_> = back.iter().map(|(_, _, message)| &message["data"]["changed"]).collect();
    assert_eq!(back, ["plan", "models"]);
}

#[tokio::test]
async fn a_tenant_that_takes_part_no_more_is_told_nothing() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let listening = tenant.owner.call(Method::GET, "/v1/subjects/audit.%3E").listen(Duration::from_secs(20));
    let suspending = async {
        tokio::time::sleep(EAR).await;
        let path = format!("/v1/tenants/{}/suspend", tenant.id);
        server.operator.post(&path, &json!({})).await.unwrap();
        tokio::time::Instant::now()
    };
    let (answer, suspended) =
        tokio::join!(async { (listening.await.unwrap(), tokio::time::Instant::now()) }, suspending);
    assert_eq!(answer.0.status, 200);
    assert!(answer.1 - suspended < Duration::from_secs(3), "it went on for {:?}", answer.1 - suspended);
}
