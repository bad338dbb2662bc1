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
