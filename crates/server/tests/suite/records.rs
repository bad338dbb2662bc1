//! Records over HTTP: found, ordered, changed and removed.

use crate::harness::{Server, Tenant, assert_refused, send, send_json};
use http::Method;
use serde_json::{Value, json};

async fn filled(tenant: &Tenant) {
    for (name, score) in [("Ada", 5), ("Bob", 3), ("Cyd", 9), ("Dan", 7)] {
        tenant.make("/v1/records/leads", json!({"name": name, "score": score})).await;
    }
}

fn names(page: &Value) -> Vec<String> {
    let name = |record: &Value| record["data"]["name"].as_str().unwrap().to_owned();
    page["data"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn records_are_filtered_ordered_and_paged() {
    let server = Server::start();
    let (tenant, other) = (server.tenant("Acme").await, server.tenant("Other").await);
    filled(&tenant).await;
    let declarations = [json!({"indexes": ["score"]}), json!({"indexes": [], "range_indexes": ["score"]})];
    for declared in [None, Some(&declarations[0]), Some(&declarations[1])] {
        if let Some(indexes) = declared {
            assert_eq!(tenant.owner.put("/v1/records/leads", indexes).await.unwrap(), *indexes);
        }
        let path = "/v1/records/leads?filter=score%20ge%205&sort=-score&limit=2";
        let first = tenant.owner.get(path).await.unwrap();
        assert_eq!(names(&first), ["Cyd", "Dan"]);
        let cursor = first["next_cursor"].as_str().unwrap();
        let rest = tenant.owner.get(&format!("{path}&cursor={cursor}")).await.unwrap();
        assert_eq!((names(&rest), &rest["next_cursor"]), (vec!["Ada".to_owned()], &Value::Null));
        let foreign = send(&other.owner, Method::GET, &format!("{path}&cursor={cursor}")).await;
        assert_refused(&foreign, 400, "invalid_request");
    }
    assert_eq!(other.owner.get("/v1/records/leads").await.unwrap()["data"], json!([]));
    for wrong in ["filter=score%20like%205", "sort=a%3Bb", "limit=0", "limit=501", "limit=x", "cursor=x"] {
        let answer = send(&tenant.owner, Method::GET, &format!("/v1/records/leads?{wrong}")).await;
        assert_refused(&answer, 400, "invalid_request");
    }
}

#[tokio::test]
async fn a_record_changes_unless_somebody_else_was_faster() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/records/contacts/{}", tenant.record().await);
    let read = send(&tenant.owner, Method::GET, &path).await;
    let tag = read.header("etag").unwrap().to_owned();
    let patch = json!({"name": null, "city": "Paris"});
    let changed = send_json(&tenant.owner, Method::PATCH, &path, &patch).await;
    assert_eq!(changed.json()["data"], json!({"city": "Paris"}));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    for method in [Method::PATCH, Method::DELETE] {
        let call = tenant.owner.call(method, &path).header("if-match", &tag).json(&patch).unwrap();
        assert_refused(&call.send().await.unwrap(), 412, "precondition_failed");
    }
    let tag = changed.header("etag").unwrap();
    let delete = tenant.owner.call(Method::DELETE, &path).header("if-match", tag);
    assert_eq!(delete.send().await.unwrap().status, 204);
    assert_refused(&send(&tenant.owner, Method::GET, &path).await, 404, "not_found");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let mut server = Server::start();
    let tenant = server.tenant("Acme").await;
    let path = format!("/v1/records/contacts/{}", tenant.record().await);
    let events = tenant.events("action=record.create").await;
    server.crash_and_restart();
    let owner = tenant.owner_at(&server);
    assert_eq!(owner.get(&path).await.unwrap()["data"]["name"], "Ada");
    let after = crate::harness::events(&owner, "/v1/audit/events", "action=record.create").await;
    assert_eq!(after, events);
}
