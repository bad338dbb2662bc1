//! Whatever is wrong with a request is answered as a problem, in words that help.

use crate::harness::{Server, assert_refused, send};
use http::Method;

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
