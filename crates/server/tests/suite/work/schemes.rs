//! The signature schemes over HTTP: Slack with its events, commands and question, Standard Webhooks, and none;
//! and what a run is given of a delivery.

use super::hooks::Hooked;
use super::{over, stage, step};
use crate::harness::{Server, Tenant, assert_refused};
use bytes::Bytes;
use client::{Answer, signed_delivery, webhook_secret};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

const FORM: &str = "application/x-www-form-urlencoded";

fn definition(webhook: &Value) -> Value {
    json!({"name": "Takes", "definition": {"name": "Takes", "nodes": [
        {"id": "event", "type": "source", "kind": "webhook", "webhook": webhook},
        {"id": "shape", "type": "transform", "after": ["event"],
         "output": {"input": "{{ input }}", "id": "{{ delivery.id }}", "headers": "{{ delivery.headers }}"}},
    ]}})
}

#[expect(clippy::disallowed_methods, reason = "the sender's clock is the test's own")]
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

struct Slack<'s> {
    server: &'s Server,
    hooked: Hooked,
}

impl Slack<'_> {
    async fn send(&self, time: i64, media_type: &str, body: &str) -> Answer {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"s1ack").unwrap();
        mac.update(format!("v0:{time}:{body}").as_bytes());
        let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
        let sender = self.server.operator.without_key();
        let call = sender.call(Method::POST, &self.hooked.path);
        let call = call.header("x-slack-request-timestamp", &time.to_string());
        let call = call.header("x-slack-signature", &signature);
        call.body(media_type, Bytes::copy_from_slice(body.as_bytes())).send().await.unwrap()
    }
}

/// What the run of an accepted delivery made.
async fn shaped(tenant: &Tenant, answer: &Answer) -> Value {
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
    let run = over(&tenant.owner, answer.json()["id"].as_str().unwrap()).await;
    step(&run, "shape")["output"].clone()
}

#[tokio::test]
async fn slack_can_be_set_up_and_each_thing_that_it_sends_runs_once() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let webhook = json!({"scheme": "slack", "secret": "slack"});
    let hooked = Hooked::make(&tenant, definition(&webhook), "slack", "s1ack").await;
    let slack = Slack { server: &server, hooked };
    let asks = r#"{"token":"x","challenge":"3eZbrw1aB","type":"url_verification"}"#;
    let answer = slack.send(now(), "application/json", asks).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"challenge": "3eZbrw1aB"})));
    assert_eq!(tenant.owner.get("/v1/runs").await.unwrap()["data"], json!([]));

    // A command is a form, and the same command a second later is another one.
    let (time, command) = (now(), "command=%2Fdeploy&text=web+now");
    let first = slack.send(time, FORM, command).await;
    let shape = shaped(&tenant, &first).await;
    assert_eq!(shape["input"], json!({"command": "/deploy", "text": "web now"}));
    assert!(shape["headers"]["x-slack-request-timestamp"].is_string(), "{shape}");
    assert!(!shape["headers"].to_string().contains("signature"), "{shape}");
    assert_eq!(slack.send(time, FORM, command).await.status.as_u16(), 200);
    assert_eq!(slack.send(time - 1, FORM, command).await.status.as_u16(), 202);
    let pressed = slack.send(time, FORM, "payload=%7B%22type%22%3A%22block_actions%22%7D").await;
    assert_eq!(shaped(&tenant, &pressed).await["input"], json!({"type": "block_actions"}));

    // An event keeps its id when Slack tries again.
    let event = r#"{"type":"event_callback","event_id":"Ev1"}"#;
    let taken = slack.send(time, "application/json", event).await;
    assert_eq!(shaped(&tenant, &taken).await["id"], "event:Ev1");
    assert_eq!(slack.send(time - 2, "application/json", event).await.status.as_u16(), 200);
    for late in [-301, 301] {
        let expired = slack.send(now() + late, "application/json", event).await;
        assert_refused(&expired, 401, "hook_refused");
    }
}

#[tokio::test]
async fn a_standard_webhook_is_taken_in_time_and_once() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let secret = webhook_secret([7; 24]);
    let webhook = json!({"scheme": "standard", "secret": "lead"});
    let hooked = Hooked::make(&tenant, definition(&webhook), "lead", secret.expose()).await;
    let body = br#"{"n":1}"#;
    let send = async |id: &str, time: i64| {
        let headers = signed_delivery(&secret, id, time, body).unwrap();
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        hooked.deliver(&server, &headers, body).await
    };
    assert_eq!(shaped(&tenant, &send("msg_1", now()).await).await["id"], "msg_1");
    assert_eq!(send("msg_1", now() - 5).await.status.as_u16(), 200);
    assert_eq!(send("msg_2", now()).await.status.as_u16(), 202);
    for late in [-400, 400] {
        assert_refused(&send("msg_3", now() + late).await, 401, "hook_refused");
    }
}

#[tokio::test]
async fn without_a_scheme_two_equal_bodies_are_two_deliveries() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let webhook = json!({"scheme": "none", "delivery_id_header": "X-Event"});
    let made = tenant.owner.post("/v1/workflows", &definition(&webhook)).await.unwrap();
    let hooked = Hooked::of(&made);
    for _ in 0..2 {
        let answer = hooked.deliver(&server, &[("x-kind", "ping")], b"{}").await;
        let shape = shaped(&tenant, &answer).await;
        assert_eq!((&shape["id"], &shape["headers"]["x-kind"]), (&Value::Null, &json!("ping")));
    }
    let known = [("x-event", "one")];
    assert_eq!(hooked.deliver(&server, &known, b"{}").await.status.as_u16(), 202);
    assert_eq!(hooked.deliver(&server, &known, b"{}").await.status.as_u16(), 200);
}
