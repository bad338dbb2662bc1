//! Agents, and the keys that name them.

use crate::harness::{Server, assert_refused, send, send_json};
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};

#[tokio::test]
async fn a_key_that_names_an_agent_acts_as_it_and_keeps_it() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let agent = tenant.agent().await;
    let key = tenant.owner.post("/v1/api-keys", &json!({"name": "for it", "agent": agent})).await.unwrap();
    let acting = tenant.owner.with_key(SecretText::new(key["key"].as_str().unwrap().to_owned()));
    let me = acting.get("/v1/me").await.unwrap();
    assert_eq!(me["principal"], json!({"kind": "agent", "id": agent}));

    let path = format!("/v1/agents/{agent}");
    assert_refused(&send(&tenant.owner, Method::DELETE, &path).await, 409, "conflict");
    let key = format!("/v1/api-keys/{}", key["id"].as_str().unwrap());
    tenant.owner.delete(&key).await.unwrap();
    assert_eq!(send(&tenant.owner, Method::DELETE, &path).await.status, 204);
    assert_refused(&send(&tenant.owner, Method::GET, &path).await, 404, "not_found");
}

#[tokio::test]
async fn an_agent_changes_unless_somebody_else_was_faster() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/agents/{}", tenant.agent().await);
    let read = send(&tenant.owner, Method::GET, &path).await;
    let tag = read.header("etag").unwrap().to_owned();
    let changed = send_json(&tenant.owner, Method::PATCH, &path, &json!({"description": "sorts"})).await;
    assert_eq!(
        (&changed.json()["name"], &changed.json()["description"]),
        (&json!("triage"), &json!("sorts"))
    );
    let stale = tenant.owner.call(Method::PATCH, &path).header("if-match", &tag).json(&json!({})).unwrap();
    assert_refused(&stale.send().await.unwrap(), 412, "precondition_failed");
    let stale = tenant.owner.call(Method::DELETE, &path).header("if-match", &tag);
    assert_refused(&stale.send().await.unwrap(), 412, "precondition_failed");
    let cleared = send_json(&tenant.owner, Method::PATCH, &path, &json!({"description": null})).await;
    assert_eq!(cleared.json()["description"], Value::Null);
    let listed = tenant.owner.get("/v1/agents").await.unwrap();
    assert_eq!(listed["data"][0], cleared.json());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_change_and_a_removal_of_what_both_looked_at_one_is_told_that_it_is_stale() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    for _ in 0..20 {
        let path = format!("/v1/agents/{}", tenant.agent().await);
        let tag = send(&tenant.owner, Method::GET, &path).await.header("etag").unwrap().to_owned();
        let with = |method| tenant.owner.call(method, &path).header("if-match", &tag);
        let change = with(Method::PATCH).json(&json!({"name": "changed"})).unwrap();
        let (changed, removed) = tokio::join!(change.send(), with(Method::DELETE).send());
        match (changed.unwrap().status.as_u16(), removed.unwrap().status.as_u16()) {
            (200, 412) => assert_eq!(tenant.owner.get(&path).await.unwrap()["name"], "changed"),
            (404 | 412, 204) => {
                assert_refused(&send(&tenant.owner, Method::GET, &path).await, 404, "not_found")
            }
            both => panic!("{both:?}"),
        }
    }
}
