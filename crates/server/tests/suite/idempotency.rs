//! A write with an `Idempotency-Key` is carried out once.

use crate::harness::{Server, assert_refused};
use client::{Answer, Client};
use http::Method;
use serde_json::{Value, json};

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
    // The same key is another one for another tenant.
    let theirs = post(&other.owner, path, "k", &record).await.accepted().unwrap().json();
    assert_ne!(theirs["id"], first["id"]);
    let listed = tenant.owner.get(path).await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}
