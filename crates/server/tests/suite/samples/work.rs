//! Calls about workflows, runs and hooks.

use super::{By, Sample, World};
use crate::harness::Tenant;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) async fn sample(operation: &str, world: &World) -> Option<Sample> {
    let tenant = &world.tenant;
    let get = |path: String| Sample::new(By::Owner, Method::GET, path);
    let post = |path: String| Sample::new(By::Owner, Method::POST, path);
    Some(match operation {
        "get_schemas_workflow_json" => Sample::new(By::Anyone, Method::GET, "/schemas/workflow.json"),
        "post_workflows" => post("/v1/workflows".into()).json(&own(&fails())),
        "get_workflows" => get("/v1/workflows".into()),
        "get_workflows_id" => get(format!("/v1/workflows/{}", workflow(tenant, &fails()).await)),
        "patch_workflows_id" => {
            let path = format!("/v1/workflows/{}", workflow(tenant, &fails()).await);
            Sample::new(By::Owner, Method::PATCH, path).json(&json!({"name": "renamed"}))
        }
        "delete_workflows_id" => {
            let path = format!("/v1/workflows/{}", workflow(tenant, &fails()).await);
            Sample::new(By::Owner, Method::DELETE, path)
        }
        "post_workflows_id_hook" => post(format!("/v1/workflows/{}/hook", workflow(tenant, &takes()).await)),
        "get_workflows_id_upgrade" => get(format!("{}?version=1", instance(world).await)),
        "post_workflows_id_upgrade" => post(instance(world).await).json(&json!({"version": 1})),
        "post_workflows_id_runs" => {
            let path = format!("/v1/workflows/{}/runs", workflow(tenant, &fails()).await);
            post(path).json(&json!({"input": {"a": 1}}))
        }
        "get_runs" => get("/v1/runs".into()),
        "get_runs_id" => get(format!("/v1/runs/{}", failed(tenant).await)),
        "get_runs_id_events" => get(format!("/v1/runs/{}/events", failed(tenant).await)),
        "post_runs_id_cancel" => post(format!("/v1/runs/{}/cancel", start(tenant, &waits()).await)),
        "post_runs_id_retry" => post(format!("/v1/runs/{}/retry", failed(tenant).await)).json(&json!({})),
        "get_problems" => get("/v1/problems".into()),
        "post_hooks_token" => {
            let made = tenant.owner.post("/v1/workflows", &own(&takes())).await.unwrap();
            let url = made["hook_url"].as_str().unwrap();
            let path = &url[url.find("/hooks/").unwrap()..];
            Sample::new(By::Anyone, Method::POST, path).json(&json!({"word": "hello"}))
        }
        _ => return None,
    })
}

fn own(definition: &Value) -> Value {
    json!({"name": "a workflow", "definition": definition})
}

/// A workflow whose runs fail at once.
fn fails() -> Value {
    json!({"name": "Fails", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "shape", "type": "transform", "after": ["start"], "output": "{{ input.missing }}"},
    ]})
}

/// A workflow whose runs wait long before they try again.
fn waits() -> Value {
    let retry = json!({"max_attempts": 5, "backoff": {"initial_seconds": 3600, "max_seconds": 3600}});
    json!({"name": "Waits", "nodes": [
        {"id": "start", "type": "source", "kind": "manual"},
        {"id": "call", "type": "http", "method": "GET", "after": ["start"], "url": "https://nowhere.invalid/",
         "retry": retry},
    ]})
}

/// A workflow that a delivery without a signature starts.
fn takes() -> Value {
    json!({"name": "Takes", "nodes": [
        {"id": "event", "type": "source", "kind": "webhook", "webhook": {"scheme": "none"}},
    ]})
}

async fn workflow(tenant: &Tenant, definition: &Value) -> String {
    tenant.make("/v1/workflows", own(definition)).await
}

/// The place where an instance of a template is upgraded.
async fn instance(world: &World) -> String {
    let template = json!({"name": "sample", "definition": fails()});
    world.server.operator.post("/v1/templates", &template).await.unwrap();
    let body = json!({"name": "an instance", "template": {"name": "sample", "version": 1}});
    format!("/v1/workflows/{}/upgrade", world.tenant.make("/v1/workflows", body).await)
}

async fn start(tenant: &Tenant, definition: &Value) -> String {
    let workflow = workflow(tenant, definition).await;
    tenant.make(&format!("/v1/workflows/{workflow}/runs"), json!({"input": {}})).await
}

async fn failed(tenant: &Tenant) -> String {
    let run = start(tenant, &fails()).await;
    for _ in 0..300 {
        if tenant.owner.get(&format!("/v1/runs/{run}")).await.unwrap()["status"] == "failed" {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the run did not fail");
}
