//! Tenants, from their making to their end.

use crate::harness::{Server, assert_refused, events, send, send_json};
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_tenant_is_made_with_a_key_and_its_log_begins_with_both() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let me = tenant.owner.get("/v1/me").await.unwrap();
    assert_eq!(me["tenant"], *tenant.id);
    assert_eq!((&me["role"], &me["plan"]), (&json!("owner"), &json!("unlimited")));
    let mut log = tenant.events("").await;
    log.reverse();
    let first: Vec<_> = log.iter().take(2).map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(first, ["tenant.create", "api_key.create"]);
    assert_eq!(log[1]["resource"]["id"], *tenant.key_id);
}

#[tokio::test]
async fn tenants_are_listed_page_by_page() {
    let server = Server::start();
    let mut made = Vec::new();
    for name in ["A", "B", "C"] {
        made.push(server.tenant(name).await.id);
    }
    let (mut found, mut path) = (Vec::new(), "/v1/tenants?limit=2".to_owned());
    loop {
        let page = server.operator.get(&path).await.unwrap();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        found.extend(data.iter().map(|tenant| tenant["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/tenants?limit=2&cursor={cursor}");
    }
    made.sort();
    assert_eq!(found, made);
}

#[tokio::test]
async fn a_change_holds_from_the_next_request_on_and_a_stale_one_is_refused() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/tenants/{}", tenant.id);
    let before = send(&server.operator, Method::GET, &path).await;
    let tag = before.header("etag").unwrap().to_owned();
    let change = json!({"plan": "professional", "limits": {"concurrent_runs": 7, "storage_bytes": null}});
    let changed = server.operator.call(Method::PATCH, &path).header("if-match", &tag).json(&change).unwrap();
    let changed = changed.send().await.unwrap().accepted().unwrap().json();
    assert_eq!(changed["effective_limits"]["concurrent_runs"], 7);
    assert_eq!(changed["effective_limits"]["storage_bytes"], Value::Null);
    assert_eq!(changed["effective_limits"]["ai_calls_per_hour"], 500);
    assert_eq!(tenant.owner.get("/v1/me").await.unwrap()["plan"], "professional");
    let stale = server.operator.call(Method::PATCH, &path).header("if-match", &tag).json(&change).unwrap();
    assert_refused(&stale.send().await.unwrap(), 412, "precondition_failed");
    for (method, path) in [(Method::POST, format!("{path}/suspend")), (Method::DELETE, path.clone())] {
        let stale = server.operator.call(method, &path).header("if-match", &tag);
        assert_refused(&stale.send().await.unwrap(), 412, "precondition_failed");
    }
    let unknown = send_json(&server.operator, Method::PATCH, &path, &json!({"plan": "platinum"})).await;
    assert_refused(&unknown, 400, "invalid_request");
}

#[tokio::test]
async fn a_suspended_tenants_keys_are_refused_at_once() {
    let server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    tenant.owner.get("/v1/me").await.unwrap();
    let path = format!("/v1/tenants/{}", tenant.id);
    let suspended = server.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    assert_eq!(suspended["status"], "suspended");
    assert_refused(&send(&tenant.owner, Method::GET, "/v1/me").await, 403, "tenant_suspended");
    other.owner.get("/v1/me").await.unwrap();
    server.operator.post(&format!("{path}/resume"), &json!({})).await.unwrap();
    tenant.owner.get("/v1/me").await.unwrap();
    for action in ["tenant.suspend", "tenant.resume"] {
        let told = tenant.events(&format!("action={action}")).await;
        let results: Vec<_> = told.iter().rev().map(|event| event["result"].as_str().unwrap()).collect();
        assert_eq!(results, ["intent", "success"], "{action}");
        assert_eq!(told[0]["intent"], told[1]["event_id"]);
    }
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_and_a_receipt_says_what_that_covers() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    tenant.record().await;
    let path = format!("/v1/tenants/{}", tenant.id);
    let receipt = server.operator.delete(&path).await.unwrap();
    let places: Vec<_> = receipt["places"].as_array().unwrap().iter().map(|it| &it["place"]).collect();
    assert_eq!(places, ["credential_index", "platform_store", "node_journal", "tenant_file", "memory"]);
    assert!(receipt["audit_events"].as_u64().unwrap() >= 4);
    let checkpoint = receipt["final_checkpoint"].as_str().unwrap();
    assert!(checkpoint.contains(&tenant.id), "{checkpoint}");
    assert_refused(&send(&tenant.owner, Method::GET, "/v1/me").await, 401, "unauthorized");
    assert_refused(&send(&server.operator, Method::GET, &path).await, 404, "not_found");
    assert_refused(&send(&server.operator, Method::DELETE, &path).await, 404, "not_found");
    let log = events(&server.operator, "/v1/operator/audit/events", "action=tenant.delete").await;
    assert_eq!((&log[0]["result"], &log[0]["resource"]["id"]), (&json!("success"), &json!(tenant.id)));
}

#[tokio::test]
async fn operators_cannot_look_into_tenants_and_tenants_cannot_administer() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    assert_refused(&send(&server.operator, Method::GET, "/v1/records/contacts").await, 403, "forbidden");
    assert_refused(&send(&tenant.owner, Method::GET, "/v1/tenants").await, 403, "forbidden");
    let mismatch = tenant.owner.call(Method::GET, "/v1/me").header("x-tenant-id", "ten_other");
    assert_refused(&mismatch.send().await.unwrap(), 403, "tenant_mismatch");
    let nobody = send(&tenant.owner.without_key(), Method::GET, "/v1/me").await;
    assert_refused(&nobody, 401, "unauthorized");
}
