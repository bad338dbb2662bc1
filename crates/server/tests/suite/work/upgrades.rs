//! Templates and their instances: what is refused, what an upgrade shows, and that runs keep what they have.

use super::{eventually, over, stage, start};
use crate::harness::{assert_refused, send, send_json};
use http::Method;
use serde_json::{Value, json};

fn template(url: &str, greeting: &str) -> Value {
    json!({"name": "greet", "definition": {
    "name": "Greet",
    "config_required": {"type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {"name": {"type": "string"}, "title": {"type": "string"}}},
    "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "wait", "type": "http", "method": "GET", "after": ["start"], "url": url},
        {"id": "say", "type": "transform", "after": ["wait"], "output": greeting},
    ]}})
}

/// A chain of definitions that each ask twice of the next: 2^40 checks.
fn doubling() -> Value {
    let mut defs = serde_json::Map::new();
    for at in 0..40 {
        let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
        defs.insert(format!("d{at}"), json!({"allOf": [next, next]}));
    }
    defs.insert("d40".to_owned(), json!({"type": "object"}));
    json!({"type": "object", "allOf": [{"$ref": "#/$defs/d0"}], "$defs": defs})
}

#[tokio::test]
async fn a_schema_that_would_never_be_checked_is_refused_at_once() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let start = json!({"id": "start", "type": "source", "kind": "manual"});
    let asks = json!({"id": "ask", "type": "ai", "after": ["start"], "model": "offline", "prompt": "x",
        "output_schema": doubling()});
    for (definition, pointer) in [
        (json!({"name": "a", "config_required": doubling(), "nodes": [start]}), "/config_required"),
        (json!({"name": "a", "nodes": [start, asks]}), "/nodes/1/output_schema"),
    ] {
        let body = json!({"name": "Slow", "definition": definition, "config": {}});
        let answer = send_json(&tenant.owner, Method::POST, "/v1/workflows", &body).await;
        assert_refused(&answer, 400, "invalid_definition");
        let fault = &answer.json()["errors"][0];
        assert_eq!(
            (&fault["code"], &fault["pointer"]),
            (&json!("invalid_schema"), &json!(pointer)),
            "{fault}"
        );
        let body = json!({"name": "slow", "definition": definition});
        let published = send_json(&server.operator, Method::POST, "/v1/templates", &body).await;
        assert_refused(&published, 400, "invalid_definition");
    }
}

#[tokio::test]
async fn a_preview_tells_what_the_upgrade_would_refuse() {
    let (server, _) = stage().await;
    let tenant = server.tenant("Acme").await;
    let published = |usual: &str, timeout: u32| {
        let scheme = format!("{{{{ config.scheme | default('{usual}') }}}}");
        json!({"name": "hooked", "definition": {"name": "Hooked", "timeout": timeout, "nodes": [
            {"id": "start", "type": "source", "kind": "webhook",
             "webhook": {"scheme": scheme, "secret": "{{ config.secret | default('') }}"}},
        ]}})
    };
    for body in [published("none", 60), published("github", 120)] {
        server.operator.post("/v1/templates", &body).await.unwrap();
    }
    let instance = json!({"name": "Hooked", "template": {"name": "hooked", "version": 1}});
    let path = format!("/v1/workflows/{}", tenant.make("/v1/workflows", instance).await);
    let shown = tenant.owner.get(&format!("{path}/upgrade?version=2")).await.unwrap();
    assert_eq!(shown["config_faults"][0]["code"], "invalid_config", "{shown}");
    assert_eq!(shown["changes"]["timeout_seconds"], json!({"from": 60, "to": 120}));
    let upgrade = json!({"version": 2});
    let refused = send_json(&tenant.owner, Method::POST, &format!("{path}/upgrade"), &upgrade).await;
    assert_refused(&refused, 400, "invalid_config");
}

#[tokio::test]
async fn an_instance_is_pinned_until_its_tenant_upgrades() {
    let (server, service) = stage().await;
    let tenant = server.tenant("Acme").await;
    let first = template(&service.url("/slow/1500"), "hello {{ config.name }}");
    let second = template(&service.url("/ok"), "good day {{ config.title | default('') }} {{ config.name }}");
    for body in [&first, &second] {
        server.operator.post("/v1/templates", body).await.unwrap();
    }
    let instance = |version: u32, config: Value| json!({"name": "Greets", "template": {"name": "greet", "version": version}, "config": config});
    for (body, code) in [
        (instance(1, json!({})), "invalid_config"),
        (instance(1, json!({"name": "Ada", "colour": "red"})), "invalid_config"),
        (json!({"name": "Neither"}), "invalid_request"),
        (
            json!({"name": "Bad", "definition": {"name": "x", "nodes": [{"id": "a", "type": "ai"}]}}),
            "invalid_definition",
        ),
    ] {
        let answer = send_json(&tenant.owner, Method::POST, "/v1/workflows", &body).await;
        assert_refused(&answer, 400, code);
        let told = answer.json();
        assert!(
            code == "invalid_request" || !told["errors"][0]["message"].as_str().unwrap().is_empty(),
            "{told}"
        );
    }
    let missing =
        send_json(&tenant.owner, Method::POST, "/v1/workflows", &instance(9, json!({"name": "Ada"}))).await;
    assert_refused(&missing, 404, "not_found");

    let workflow = tenant.make("/v1/workflows", instance(1, json!({"name": "Ada"}))).await;
    let path = format!("/v1/workflows/{workflow}");
    let running = start(&tenant.owner, &workflow, Value::Null).await;
    eventually(|| !service.seen("/slow").is_empty()).await;

    let shown = tenant.owner.get(&format!("{path}/upgrade?version=2")).await.unwrap();
    assert_eq!((&shown["from"], &shown["to"]), (&json!(1), &json!(2)));
    assert_eq!(shown["changes"]["nodes"]["changed"], json!(["say", "wait"]));
    assert_eq!(shown["config_faults"], json!([]));
    let upgraded = tenant.owner.post(&format!("{path}/upgrade"), &json!({"version": 2})).await.unwrap();
    assert_eq!(upgraded["template"]["version"], 2);

    // The run under way keeps the version that it began with.
    let old = over(&tenant.owner, &running).await;
    assert_eq!(super::step(&old, "say")["output"], "hello Ada");
    let new = start(&tenant.owner, &workflow, Value::Null).await;
    assert_eq!(super::step(&over(&tenant.owner, &new).await, "say")["output"], "good day  Ada");

    let changed = send_json(&tenant.owner, Method::PATCH, &path, &json!({"config": {"title": "Dr"}})).await;
    assert_refused(&changed, 400, "invalid_config");
    let config = json!({"config": {"name": "Ada", "title": "Dr"}, "name": "Greets well"});
    let changed = send_json(&tenant.owner, Method::PATCH, &path, &config).await.json();
    assert_eq!((&changed["name"], &changed["config"]["title"]), (&json!("Greets well"), &json!("Dr")));
    let list = tenant.owner.get("/v1/workflows").await.unwrap();
    assert_eq!(list["data"][0]["name"], "Greets well");
    assert_eq!(send(&tenant.owner, Method::DELETE, &path).await.status.as_u16(), 204);
    assert_refused(&send(&tenant.owner, Method::GET, &path).await, 404, "not_found");
}
