//! Operators' own keys: made, narrowed to reading, revoked, and never all of them.

use crate::harness::{Server, assert_refused, events, send, send_json};
use client::Client;
use http::Method;
use secret::SecretText;
use serde_json::{Value, json};

async fn made(by: &Client, wanted: &Value) -> (String, Client) {
    let made = by.post("/v1/operator-keys", wanted).await.unwrap();
    let key = SecretText::new(made["key"].as_str().unwrap().to_owned());
    (format!("/v1/operator-keys/{}", made["id"].as_str().unwrap()), by.with_key(key))
}

#[tokio::test]
async fn a_key_holds_from_its_making_to_its_revocation() {
    let mut server = Server::start();
    let (path, second) = made(&server.operator, &json!({"name": "Ada", "role": "admin"})).await;
    server.crash_and_restart();
    let second = server.operator.with_key(second_key(&second));
    second.post("/v1/tenants", &json!({"name": "Acme"})).await.unwrap();
    let listed = second.get("/v1/operator-keys").await.unwrap();
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|key| &key["name"]).collect();
    assert_eq!(names, ["first key", "Ada"]);
    assert!(!listed.to_string().contains("op_"));
    assert_eq!(send(&server.operator, Method::DELETE, &path).await.status, 204);
    assert_refused(&send(&second, Method::GET, "/v1/tenants").await, 401, "unauthorized");
    assert_refused(&send(&server.operator, Method::DELETE, &path).await, 404, "not_found");
    for action in ["operator_key.create", "operator_key.revoke"] {
        let log = events(&server.operator, "/v1/operator/audit/events", &format!("action={action}")).await;
        let results: Vec<_> = log.iter().rev().map(|event| event["result"].as_str().unwrap()).collect();
        assert_eq!(results, ["intent", "success"], "{action}");
    }
}

fn second_key(client: &Client) -> SecretText {
    client.key().cloned().unwrap()
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let server = Server::start();
    let (path, viewer) = made(&server.operator, &json!({"name": "reader"})).await;
    for path in ["/v1/tenants", "/v1/operator-keys", "/v1/plans/starter", "/v1/operator/audit/events"] {
        viewer.get(path).await.unwrap();
    }
    for (method, path, body) in [
        (Method::POST, "/v1/tenants", json!({"name": "Acme"})),
        (Method::POST, "/v1/operator-keys", json!({"name": "x", "role": "admin"})),
        (Method::DELETE, path.as_str(), Value::Null),
    ] {
        assert_refused(&send_json(&viewer, method, path, &body).await, 403, "forbidden");
    }
}

#[tokio::test]
async fn the_last_admin_cannot_revoke_itself_away() {
    let server = Server::start();
    let listed = server.operator.get("/v1/operator-keys").await.unwrap();
    let first = format!("/v1/operator-keys/{}", listed["data"][0]["id"].as_str().unwrap());
    made(&server.operator, &json!({"name": "reader", "role": "viewer"})).await;
    assert_refused(&send(&server.operator, Method::DELETE, &first).await, 409, "conflict");
    let (_, second) = made(&server.operator, &json!({"name": "Ada", "role": "admin"})).await;
    assert_eq!(send(&server.operator, Method::DELETE, &first).await.status, 204);
    assert_refused(&send(&server.operator, Method::GET, "/v1/tenants").await, 401, "unauthorized");
    second.get("/v1/tenants").await.unwrap();
}

// A start that ended between writing the first key down and indexing it leaves a key that then holds.
#[tokio::test]
async fn a_first_start_that_was_cut_short_locks_nobody_out() {
    let mut server = Server::start_with("", &[]);
    let left_behind = context::issue_operator_key(server_env().id(), &server_env());
    let folder = server.folder().to_owned();
    server.kill();
    for name in ["platform.db", "platform.db-wal", "platform.db-shm", "platform.db-journal", "regions"] {
        let path = folder.join(name);
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
    }
    std::fs::write(folder.join("operator.key"), left_behind.text.expose()).unwrap();
    server.crash_and_restart();
    server.operator.get("/v1/tenants").await.unwrap();
}

fn server_env() -> env::Env {
    env::Env::fixed(env::Timestamp::from_millis(1_790_000_000_000), 7).0
}
