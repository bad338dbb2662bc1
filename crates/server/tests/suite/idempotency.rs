//! A write with an `Idempotency-Key` is carried out once.

use crate::description::sampled_operations;
use crate::harness::{Server, Tenant, assert_refused};
use crate::samples::{By, World};
use client::{Answer, Client};
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn post(who: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let call = who.call(Method::POST, path).header("idempotency-key", key).json(body).unwrap();
    call.send().await.unwrap()
}

#[tokio::test]
async fn a_repeated_creation_of_a_tenant_gives_the_same_one_without_its_key() {
    let mut server = Server::start();
    let wanted = json!({"name": "Acme", "external_id": "acme"});
    let first = post(&server.operator, "/v1/tenants", "one", &wanted).await.accepted().unwrap().json();
    assert!(first["api_key"]["key"].is_string());
    for crashed in [false, true] {
        if crashed {
            server.crash_and_restart();
        }
        let again = post(&server.operator, "/v1/tenants", "one", &wanted).await;
        assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, Some("true")));
        let mut expected = first.clone();
        expected["api_key"]["key"] = Value::Null;
        assert_eq!(again.json(), expected);
    }
    let other = post(&server.operator, "/v1/tenants", "one", &json!({"name": "Other"})).await;
    assert_refused(&other, 409, "idempotency_conflict");
    let tenants = server.operator.get("/v1/tenants").await.unwrap();
    assert_eq!(tenants["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_request_gives_its_key_back() {
    let server = Server::start();
    let unknown_plan = json!({"name": "Acme", "plan": "platinum"});
    assert_refused(
        &post(&server.operator, "/v1/tenants", "one", &unknown_plan).await,
        400,
        "invalid_request",
    );
    post(&server.operator, "/v1/tenants", "one", &json!({"name": "Acme"})).await.accepted().unwrap();
}

#[tokio::test]
async fn many_at_once_make_one_tenant() {
    let server = Server::start();
    let wanted = json!({"name": "Acme"});
    let calls = (0..8).map(|_| post(&server.operator, "/v1/tenants", "one", &wanted));
    let answers = futures::future::join_all(calls).await;
    let fresh = answers.iter().filter(|answer| answer.json()["api_key"]["key"].is_string()).count();
    assert_eq!(fresh, 1);
    assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status.as_u16())));
    let tenants = server.operator.get("/v1/tenants").await.unwrap();
    assert_eq!(tenants["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tenants_repeated_writes_are_carried_out_once() {
    let server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    let key = json!({"name": "a key"});
    let first = post(&tenant.owner, "/v1/api-keys", "k", &key).await.accepted().unwrap().json();
    let again = post(&tenant.owner, "/v1/api-keys", "k", &key).await.accepted().unwrap().json();
    assert_eq!((&again["id"], &again["key"]), (&first["id"], &Value::Null));
    let record = json!({"name": "Ada"});
    let path = "/v1/records/contacts";
    let first = post(&tenant.owner, path, "k", &record).await.accepted().unwrap().json();
    assert_eq!(post(&tenant.owner, path, "k", &record).await.json(), first);
    assert_refused(&post(&tenant.owner, path, "k", &json!({})).await, 409, "idempotency_conflict");
    // The same key is another one for another principal, at another place, and for another tenant.
    let second =
        tenant.owner.post("/v1/api-keys", &json!({"name": "second", "role": "owner"})).await.unwrap();
    let second = tenant.owner.with_key(SecretText::new(second["key"].as_str().unwrap().to_owned()));
    let own = post(&second, path, "k", &record).await.accepted().unwrap().json();
    assert_ne!(own["id"], first["id"]);
    let elsewhere = post(&tenant.owner, "/v1/records/people", "k", &record).await.accepted().unwrap().json();
    assert_ne!(elsewhere["id"], first["id"]);
    let theirs = post(&other.owner, path, "k", &record).await.accepted().unwrap().json();
    assert_ne!(theirs["id"], first["id"]);
    let listed = tenant.owner.get(path).await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
}

// Every write of a tenant that takes a key knows its answer again. The chat route keeps answers by itself.
#[tokio::test]
async fn every_write_of_a_tenant_is_answered_again() {
    let world = World::new().await;
    for described in sampled_operations(&world.server).await {
        let writes = described.method != "get" && described.is_for("tenant");
        if !writes || described.id() == "post_chat_completions" {
            continue;
        }
        let Some(sample) = world.sample(described.id()).await else { panic!("{}", described.id()) };
        if sample.by != By::Owner || described.operation["x-audit"].get("event").is_none() {
            continue;
        }
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut call = world.tenant.owner.call(sample.method.clone(), &sample.path);
            if let Some((media_type, body)) = &sample.body {
                call = call.body(media_type, body.clone());
            }
            answers.push(call.header("idempotency-key", described.id()).send().await.unwrap());
        }
        let [first, again] = answers.try_into().unwrap_or_else(|_| panic!());
        assert!(first.status.is_success(), "{}: {}", described.id(), first.text());
        assert_eq!(
            again.header("idempotency-replayed"),
            Some("true"),
            "{}: {}",
            described.id(),
            again.text()
        );
        assert_eq!(again.status, first.status, "{}", described.id());
        if !first.body.is_empty() {
            let (mut first, again) = (first.json(), again.json());
            if let Some(members) = first.as_object_mut() {
                members.remove("hook_url");
                members.entry("key").and_modify(|key| *key = Value::Null);
            }
            assert_eq!(again, first, "{}", described.id());
        }
    }
}

/// Sends a request as bytes, and hangs up after this long.
async fn hang_up(server: &Server, key: &SecretText, path: &str, name: &str, body: &Value, after: Duration) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: {name}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        key.expose(),
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    // Whatever has come by then is not looked at.
    let _ = tokio::time::timeout(after, stream.read(&mut [0; 1])).await;
}

/// The answer to a repetition, once the first request is over.
async fn repeated(who: &Client, path: &str, name: &str, body: &Value) -> Answer {
    for _ in 0..400 {
        let answer = post(who, path, name, body).await;
        if answer.status != 409 {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the answer to {name} at {path} is lost");
}

#[tokio::test]
async fn who_hangs_up_finds_the_answer_with_the_same_key() {
    let server = Server::start();
    let tenant: Tenant = server.tenant("Acme").await;
    for step in 0..24u64 {
        let (name, after) = (format!("k{step}"), Duration::from_micros(step * 400));
        for (path, body) in [
            ("/v1/records/contacts", json!({"step": step})),
            ("/v1/api-keys", json!({"name": format!("key {step}")})),
        ] {
            hang_up(&server, &tenant.owner_key, path, &name, &body, after).await;
            let answer = repeated(&tenant.owner, path, &name, &body).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        let (body, path) = (json!({"name": format!("T{step}")}), "/v1/tenants");
        hang_up(&server, &server.operator_key(), path, &name, &body, after).await;
        let answer = repeated(&server.operator, path, &name, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    // Each was carried out once, by the first request or by the second.
    for path in ["/v1/records/contacts?limit=500", "/v1/api-keys?limit=500"] {
        let listed = tenant.owner.get(path).await.unwrap();
        let own = usize::from(path.contains("keys"));
        assert_eq!(listed["data"].as_array().unwrap().len(), 24 + own, "{path}");
    }
    assert_eq!(
        server.operator.get("/v1/tenants?limit=500").await.unwrap()["data"].as_array().unwrap().len(),
        25
    );
}

// Wherever a crash falls, the write and its answer are there together or not at all.
#[tokio::test]
async fn a_crash_at_any_moment_costs_no_answer() {
    let mut server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = "/v1/records/contacts";
    for step in 0..10u64 {
        let (name, body) = (format!("k{step}"), json!({"step": step}));
        let after = Duration::from_micros(step * 700);
        hang_up(&server, &tenant.owner_key, path, &name, &body, after).await;
        server.crash_and_restart();
        let answer = post(&tenant.owner_at(&server), path, &name, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let listed = tenant.owner_at(&server).get("/v1/records/contacts?limit=500").await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 10);
}
