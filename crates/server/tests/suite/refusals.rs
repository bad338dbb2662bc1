//! Whatever is wrong with a request is answered as a problem, in words that help.

use crate::harness::{Server, assert_refused, send, send_json};
use http::Method;
use secret::SecretText;
use serde_json::json;
use std::path::Path;

#[tokio::test]
async fn bodies_are_read_strictly() {
    let server = Server::start();
    let owner = server.tenant("Acme").await.owner;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70));
    for (path, body, told) in [
        ("/v1/records/contacts", "{\"a\":1,\"a\":2}", "`a` occurs twice"),
        ("/v1/records/contacts", "{\"a\":{\"b\":1,\"\\u0062\":2}}", "`b` occurs twice"),
        ("/v1/records/contacts", "{\"a\":18446744073709551616}", "does not fit"),
        ("/v1/records/contacts", "{\"a\":1e999}", "out of range"),
        ("/v1/records/contacts", "{\"a\":\"\\u0000\"}", "NUL"),
        ("/v1/records/contacts", deep.as_str(), "nested deeper"),
        ("/v1/records/contacts", "[1]", "must be a JSON object"),
        ("/v1/agents", " [\"x\", null]", "must be a JSON object"),
        ("/v1/records/contacts", "{", "EOF"),
        ("/v1/records/contacts", "", "EOF"),
        ("/v1/records/contacts", "{} {}", "trailing"),
        ("/v1/agents", "{\"name\":\"x\",\"colour\":1}", "unknown field `colour`"),
        ("/v1/agents", "{}", "missing field `name`"),
        ("/v1/agents", "{\"name\":5}", "expected a string"),
        ("/v1/workflows", "{\"name\":\"x\",\"template\":[\"triage\",1]}", "a list at `/template`"),
    ] {
        let call = owner.call(Method::POST, path).body("application/json", body.to_owned().into());
        let answer = call.send().await.unwrap();
        assert_refused(&answer, 400, "invalid_request");
        assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{body}: {}", answer.text());
    }
    let text = owner.call(Method::POST, "/v1/agents").body("text/plain", "{}".into()).send().await.unwrap();
    assert_refused(&text, 415, "unsupported_media_type");
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2 << 20));
    let large = owner.call(Method::POST, "/v1/agents").body("application/json", large.into());
    assert_refused(&large.send().await.unwrap(), 413, "payload_too_large");
}

#[tokio::test]
async fn queries_and_paths_are_read_strictly() {
    let server = Server::start();
    let owner = server.tenant("Acme").await.owner;
    for path in [
        "/v1/me?verbose=1",
        "/v1/agents?limit=5&limit=6",
        "/v1/agents?limt=5",
        "/v1/agents?limit=-5",
        "/v1/agents?limit=99999999999999999999",
        "/v1/agents?cursor=%00",
        "/v1/agents?cursor=%ff",
        "/v1/records/No%20Slug",
    ] {
        let answer = send(&owner, Method::GET, path).await;
        assert_refused(&answer, 400, "invalid_request");
    }
    for path in ["/v1/agents/nonsense", "/v1/agents/%ff", "/v1/records/contacts/%00", "/v1/nothing", "/"] {
        assert_refused(&send(&owner, Method::GET, path).await, 404, "not_found");
    }
    assert_refused(&send(&owner, Method::PUT, "/v1/me").await, 405, "method_not_allowed");
    let long = owner.call(Method::GET, "/v1/me").header("idempotency-key", &"x".repeat(300));
    assert_refused(&long.send().await.unwrap(), 400, "invalid_request");
}

#[tokio::test]
async fn every_answer_says_its_request_and_is_kept_by_nobody() {
    let server = Server::start();
    let owner = server.tenant("Acme").await.owner;
    for path in ["/v1/me", "/v1/nothing", "/healthz"] {
        let answer = send(&owner, Method::GET, path).await;
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    let refused = send(&owner, Method::GET, "/v1/nothing").await;
    assert_eq!(refused.json()["request_id"], *refused.header("x-request-id").unwrap());
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_not_taken_for_one_that_is_absent() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let record = tenant.record().await;
    for header in [
        &b"idempotency-key: \xc3\xa4"[..],
        b"idempotency-key: a\r\nidempotency-key: b",
        b"if-match: \"\xe4\"",
        b"if-match: \"1\"\r\nif-match: \"2\"",
    ] {
        let head = format!(
            "PATCH /v1/records/contacts/{record} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n",
            tenant.owner_key.expose()
        );
        let answer = server.raw(&[head.as_bytes(), header, b"\r\n\r\n{}"].concat()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains("once and in visible ASCII"),
            "{answer}"
        );
    }
    let unchanged = tenant.owner.get(&format!("/v1/records/contacts/{record}")).await.unwrap();
    assert_eq!(unchanged["version"], 1);
}

#[tokio::test]
async fn the_type_of_every_problem_leads_to_its_page() {
    let server = Server::start();
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let mut found = 0;
    for entry in std::fs::read_dir(pages).unwrap() {
        let path = entry.unwrap().path();
        let code = path.file_stem().unwrap().to_str().unwrap();
        if code != "README" {
            let answer = send(&server.operator.without_key(), Method::GET, &format!("/errors/{code}")).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.text()[..]),
                (200, &std::fs::read_to_string(&path).unwrap()[..])
            );
            found += 1;
        }
    }
    assert!(found > 25, "{found}");
    let refused = send(&server.operator, Method::GET, "/v1/nothing").await.json();
    let page = refused["type"].as_str().unwrap().strip_prefix(server.operator.base().as_str()).unwrap();
    assert!(send(&server.operator, Method::GET, page).await.text().starts_with("# `not_found`"));
    assert_refused(&send(&server.operator, Method::GET, "/errors/nonsense").await, 404, "not_found");
}

#[tokio::test]
async fn what_a_principal_was_refused_is_counted_in_its_tenants_log() {
    let server = Server::start();
    let tenant = server.tenant("Acme").await;
    let made = tenant.owner.post("/v1/api-keys", &json!({"name": "v", "role": "viewer"})).await.unwrap();
    let viewer = tenant.owner.with_key(SecretText::new(made["key"].as_str().unwrap().to_owned()));
    for _ in 0..3 {
        let refused = send_json(&viewer, Method::POST, "/v1/agents", &json!({"name": "x"})).await;
        assert_refused(&refused, 403, "forbidden");
    }
    let elsewhere = tenant.owner.call(Method::GET, "/v1/me").header("x-tenant-id", "ten_other");
    assert_refused(&elsewhere.send().await.unwrap(), 403, "tenant_mismatch");
    let told = tenant.events("action=access.refuse").await;
    let of = |code: &str| -> u64 {
        let events = told.iter().filter(|event| event["reason_code"] == code && event["result"] == "denied");
        events.map(|event| event["details"]["count"].as_u64().unwrap()).sum()
    };
    assert_eq!((of("forbidden"), of("tenant_mismatch")), (3, 1), "{told:#?}");
    let operation = told.iter().find(|event| event["reason_code"] == "forbidden").unwrap();
    assert_eq!(operation["resource"]["id"], "POST /v1/agents");
    assert_eq!(operation["actor"]["id"], made["id"]);
}
