//! Inbound deliveries: whose they are, whether they are genuine, and that each runs once.

use super::{over, stage};
use crate::harness::{Server, Tenant, assert_refused, send};
use bytes::Bytes;
use client::Answer;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;

/// A workflow that a hook starts, and the hook's path.
pub(super) struct Hooked {
    pub(super) workflow: String,
    pub(super) path: String,
}

impl Hooked {
    pub(super) async fn make(tenant: &Tenant, body: Value, service: &str, secret: &str) -> Self {
        let credential = json!({"kind": "webhook_secret", "secret": secret});
        tenant.owner.put(&format!("/v1/credentials/{service}"), &credential).await.unwrap();
        Self::of(&tenant.owner.post("/v1/workflows", &body).await.unwrap())
    }

    pub(super) fn of(made: &Value) -> Self {
        let url = made["hook_url"].as_str().unwrap();
        let path = url[url.find("/hooks/").unwrap()..].to_owned();
        Self { workflow: made["id"].as_str().unwrap().to_owned(), path }
    }

    pub(super) async fn deliver(&self, server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let sender = server.operator.without_key();
        let mut call = sender.call(Method::POST, &self.path);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        call.body("application/json", Bytes::copy_from_slice(body)).send().await.unwrap()
    }
}

/// As GitHub signs.
pub(super) fn signed(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn definition() -> Value {
    json!({"name": "Takes", "definition": {"name": "Takes", "nodes": [
        {"id": "event", "type": "source", "kind": "webhook", "webhook": {"scheme": "github", "secret": "git"}},
        {"id": "shape", "type": "transform", "after": ["event"], "output": "{{ input.word }}"},
    ]}})
}

#[tokio::test]
async fn a_genuine_delivery_runs_once_and_others_are_refused_alike() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let hooked = Hooked::make(&tenant, definition(), "git", "s3cret").await;
    let body = br#"{"word":"hello","tenant":"ten_01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#;
    let signature = signed("s3cret", body);
    let headers = [("x-hub-signature-256", signature.as_str()), ("x-github-delivery", "one")];
    let first = hooked.deliver(&server, &headers, body).await;
    assert_eq!(first.status.as_u16(), 202, "{}", first.text());
    let again = hooked.deliver(&server, &headers, body).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    let run = over(&tenant.owner, first.json()["id"].as_str().unwrap()).await;
    assert_eq!(
        (&run["status"], &super::step(&run, "shape")["output"]),
        (&json!("succeeded"), &json!("hello"))
    );
    assert!(run["started_by"].as_str().unwrap().starts_with("hok_"), "{run}");

    // Unknown token, wrong signature, no signature: one and the same answer.
    let forged = signed("another", body);
    let forged = [("x-hub-signature-256", forged.as_str()), ("x-github-delivery", "two")];
    let unknown = Hooked { workflow: String::new(), path: format!("{}x", hooked.path) };
    let mut told = Vec::new();
    for answer in [
        hooked.deliver(&server, &forged, body).await,
        hooked.deliver(&server, &[], body).await,
        hooked.deliver(&server, &headers, b"{\"word\":\"other\"}").await,
        unknown.deliver(&server, &headers, body).await,
    ] {
        assert_refused(&answer, 401, "hook_refused");
        let mut problem = answer.json();
        problem.as_object_mut().unwrap().remove("request_id");
        told.push((problem, answer.header("retry-after").map(str::to_owned)));
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    assert_eq!(tenant.owner.get("/v1/runs").await.unwrap()["data"].as_array().unwrap().len(), 1);
    assert_eq!(tenant.events("action=hook.deliver").await.len(), 1);
    let refused = tenant.events("action=hook.refuse").await;
    assert_eq!(refused.iter().map(|event| event["details"]["count"].as_u64().unwrap()).sum::<u64>(), 3);
}

#[tokio::test]
async fn a_rotated_or_removed_hook_takes_nothing_more() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let before = Hooked::make(&tenant, definition(), "git", "s3cret").await;
    let signature = signed("s3cret", b"{\"word\":1}");
    let headers = [("x-hub-signature-256", signature.as_str())];
    let rotate = format!("/v1/workflows/{}/hook", before.workflow);
    let after = Hooked::of(&tenant.owner.post(&rotate, &json!({})).await.unwrap());
    assert_refused(&before.deliver(&server, &headers, b"{\"word\":1}").await, 401, "hook_refused");
    assert_eq!(after.deliver(&server, &headers, b"{\"word\":1}").await.status.as_u16(), 202);
    // Without an id of its own a delivery is known by its body.
    assert_eq!(after.deliver(&server, &headers, b"{\"word\":1}").await.status.as_u16(), 200);
    let path = format!("/v1/workflows/{}", before.workflow);
    assert_eq!(send(&tenant.owner, Method::DELETE, &path).await.status.as_u16(), 204);
    assert_refused(&after.deliver(&server, &headers, b"{\"word\":1}").await, 401, "hook_refused");
}

#[tokio::test]
async fn the_address_is_shown_once_and_a_large_body_is_refused() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let make = || {
        let call = tenant.owner.call(Method::POST, "/v1/workflows").header("idempotency-key", "same");
        call.json(&definition()).unwrap().send()
    };
    let (first, again) = (make().await.unwrap(), make().await.unwrap());
    assert!(first.json()["hook_url"].is_string());
    assert_eq!(again.json(), json!({"id": first.json()["id"]}));
    let path = format!("/v1/workflows/{}", again.json()["id"].as_str().unwrap());
    assert!(!send(&tenant.owner, Method::GET, &path).await.text().contains("hk_"));
    let hooked = Hooked::of(&first.json());
    let large = vec![b' '; (1 << 20) + 1];
    assert_refused(&hooked.deliver(&server, &[], &large).await, 413, "payload_too_large");
}

#[tokio::test]
async fn a_body_is_read_after_the_token_and_deliveries_count_as_requests() {
    let server = Server::start();
    // The body is announced and never comes; whoever has no token is not waited for.
    let head = b"POST /hooks/hk_nonsense HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n";
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), server.raw(head)).await;
    assert!(answer.expect("the body was waited for").contains("hook_refused"));

    let tenant = server.tenant("Acme").await;
    let hooked = Hooked::make(&tenant, definition(), "git", "s3cret").await;
    let path = format!("/v1/tenants/{}", tenant.id);
    let change = server.operator.call(Method::PATCH, &path);
    let limits = json!({"limits": {"requests_per_second": 1}});
    change.json(&limits).unwrap().send().await.unwrap().accepted().unwrap();
    let many = futures::future::join_all((0..8).map(|_| hooked.deliver(&server, &[], b"{}"))).await;
    let limited = many.iter().filter(|answer| answer.status == 429).count();
    assert!(limited > 0, "{:?}", many.iter().map(|answer| answer.status).collect::<Vec<_>>());
}
