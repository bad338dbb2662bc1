//! What the operator publishes: plans, templates, endpoints.

use crate::harness::{Server, assert_refused, send, send_json};
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn plans_hold_for_whoever_is_on_them() {
    let server = Server::start();
    let starter = server.operator.get("/v1/plans/starter").await.unwrap();
    assert_eq!((&starter["ai_calls_per_hour"], &starter["concurrent_runs"]), (&json!(100), &json!(2)));
    let plan = json!({
        "ai_calls_per_hour": 5, "api_calls_per_hour": null, "requests_per_second": 900,
        "concurrent_runs": 1, "storage_bytes": null,
    });
    let put = server.operator.put("/v1/plans/tiny", &plan).await.unwrap();
    assert_eq!(put, server.operator.get("/v1/plans/tiny").await.unwrap());
    assert_eq!((&put["api_calls_per_hour"], &put["retention_days"]), (&Value::Null, &Value::Null));
    let mut short = plan.clone();
    short.as_object_mut().unwrap().remove("storage_bytes");
    let answer = send_json(&server.operator, Method::PUT, "/v1/plans/tiny", &short).await;
    assert_refused(&answer, 400, "invalid_request");
    assert!(answer.text().contains("storage_bytes"), "{}", answer.text());
    assert_refused(&send(&server.operator, Method::GET, "/v1/plans/none").await, 404, "not_found");
}

#[tokio::test]
async fn templates_have_versions_that_never_change_and_faults_are_told_with_their_lines() {
    let server = Server::start();
    let text = include_str!("../../../workflow/templates/inbound-lead-triage.yaml");
    for version in 1..=2 {
        let template = json!({"name": "lead-triage", "definition": text});
        let published = server.operator.post("/v1/templates", &template).await.unwrap();
        assert_eq!((&published["version"], &published["name"]), (&json!(version), &json!("lead-triage")));
    }
    let first = server.operator.get("/v1/templates/lead-triage/versions/1").await.unwrap();
    assert_eq!(first["definition"], text);
    let list = server.operator.get("/v1/templates").await.unwrap();
    assert_eq!((list["data"].as_array().unwrap().len(), &list["data"][0]["version"]), (1, &json!(2)));
    for missing in ["lead-triage/versions/3", "lead-triage/versions/x", "none/versions/1"] {
        let answer = send(&server.operator, Method::GET, &format!("/v1/templates/{missing}")).await;
        assert_refused(&answer, 404, "not_found");
    }
    let faults = async |definition: serde_json::Value| {
        let faulty = json!({"name": "faulty", "definition": definition});
        let answer = send_json(&server.operator, Method::POST, "/v1/templates", &faulty).await;
        assert_refused(&answer, 400, "invalid_definition");
        answer.json()["errors"][0].clone()
    };
    let text = "name: x\nnodes:\n  - {id: a, type: ai}\n";
    assert_eq!(faults(json!(text)).await["line"], 3);
    // What was sent as JSON has no lines that its sender has seen.
    let object = faults(json!({"name": "x", "nodes": [{"id": "a", "type": "ai"}]})).await;
    assert_eq!(object["line"], 0);
}

#[tokio::test]
async fn an_endpoints_key_never_comes_back() {
    let server = Server::start();
    let endpoint = json!({
        "url": "https://models.example.com/v1", "dialect": "openai", "models": ["small", "large"],
        "api_key": "sk-never-to-be-seen", "region": "eu", "max_output_tokens": 100,
        "prices": {"small": {"input_per_million": "0.15", "output_per_million": "0.60"}},
    });
    let put = send_json(&server.operator, Method::PUT, "/v1/endpoints/main", &endpoint).await;
    let got = send(&server.operator, Method::GET, "/v1/endpoints/main").await;
    for answer in [&put, &got] {
        assert!(!answer.text().contains("never-to-be-seen"), "{}", answer.text());
        assert_eq!(answer.json()["has_api_key"], true);
        assert_eq!(answer.json()["prices"]["small"]["input_per_million"], "0.15");
    }
    for (member, value) in [
        ("url", json!("ftp://a/v1")),
        ("url", json!("https://user:secret@a/v1")),
        ("dialect", json!("telegraph")),
        ("models", json!([])),
        ("api_key", json!("two\nlines")),
        ("prices", json!({"other": {"input_per_million": "1", "output_per_million": "1"}})),
        ("prices", json!({"small": {"input_per_million": 0.15, "output_per_million": "1"}})),
        ("max_output_tokens", json!(0)),
        ("colour", json!("red")),
    ] {
        let mut wrong = endpoint.clone();
        wrong[member] = value;
        let answer = send_json(&server.operator, Method::PUT, "/v1/endpoints/main", &wrong).await;
        assert_refused(&answer, 400, "invalid_request");
    }
}
