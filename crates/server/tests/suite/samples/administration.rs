//! Calls about the server and by the operator.

use super::{By, Sample, World};
use crate::harness::{Server, send};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

const LEAD_TRIAGE: &str = include_str!("../../../../workflow/templates/inbound-lead-triage.yaml");

/// The manifest among the pieces of a backup of everything: after each line comes what it announces.
fn manifest(mut sent: &[u8]) -> Bytes {
    loop {
        let end = sent.iter().position(|byte| *byte == b'\n').unwrap();
        let line: Value = serde_json::from_slice(&sent[..end]).unwrap();
        let length = usize::try_from(line["bytes"].as_u64().unwrap_or(0)).unwrap();
        let (piece, rest) = sent[end + 1..].split_at(length);
        if line["kind"] == "manifest" {
            return Bytes::copy_from_slice(piece);
        }
        sent = rest;
    }
}

/// Calls about the operators' own keys and log, and about grants to check the server.
async fn log_sample(operation: &str, world: &World) -> Option<Sample> {
    let get = |path: &str| Sample::new(By::Operator, Method::GET, format!("/v1/operator/audit/{path}"));
    Some(match operation {
        "get_operator_audit_checkpoint" => get("checkpoint"),
        "get_operator_audit_events" => get("events"),
        "get_operator_audit_key" => get("key"),
        "get_operator_audit_proof" => get("proof?index=0"),
        "post_operator_backup" => {
            let first = send(&world.server.operator, Method::POST, "/v1/operator/backup").await;
            let manifest = manifest(&first.accepted().unwrap().body);
            Sample::new(By::Operator, Method::POST, "/v1/operator/backup").file(manifest)
        }
        "post_operator_evidence" => {
            let report = crate::evidence::report(&world.server, |_, _| {}).await;
            let evidence = Sample::new(By::Operator, Method::POST, "/v1/operator/evidence");
            evidence.json(&json!({"report": report.text()}))
        }
        "post_operator_keys" => {
            Sample::new(By::Operator, Method::POST, "/v1/operator-keys").json(&json!({"name": "another"}))
        }
        "get_operator_keys" => Sample::new(By::Operator, Method::GET, "/v1/operator-keys"),
        "delete_operator_keys_id" => {
            let made =
                world.server.operator.post("/v1/operator-keys", &json!({"name": "revoked"})).await.unwrap();
            let path = format!("/v1/operator-keys/{}", made["id"].as_str().unwrap());
            Sample::new(By::Operator, Method::DELETE, path)
        }
        "get_verify_grants" => Sample::new(By::Operator, Method::GET, "/v1/verify-grants"),
        "post_verify_grants" => {
            Sample::new(By::Operator, Method::POST, "/v1/verify-grants").json(&json!({"name": "a customer"}))
        }
        "delete_verify_grants_id" => {
            let made = world.server.operator.post("/v1/verify-grants", &json!({"name": "revoked"})).await;
            let path = format!("/v1/verify-grants/{}", made.unwrap()["id"].as_str().unwrap());
            Sample::new(By::Operator, Method::DELETE, path)
        }
        _ => return None,
    })
}

/// What is done to a tenant as a whole.
async fn tenant_sample(operation: &str, world: &World) -> Option<Sample> {
    let (server, tenant) = (&world.server, &world.tenant);
    let post = |path: String| Sample::new(By::Operator, Method::POST, path);
    Some(match operation {
        "post_tenants_id_suspend" => {
            post(format!("/v1/tenants/{}/suspend", server.tenant("Suspended").await.id))
        }
        "post_tenants_id_resume" => post(format!("{}/resume", suspended(server, "Resumed").await)),
        "post_tenants_id_data_key" => post(format!("/v1/tenants/{}/data-key", tenant.id)),
        "post_tenants_id_move" => {
            post(format!("/v1/tenants/{}/move", tenant.id)).json(&json!({"to": "dedicated"}))
        }
        "post_tenants_id_export" => post(format!("{}/export", suspended(server, "Exported").await)),
        "post_tenants_id_import" => {
            let path = suspended(server, "Imported").await;
            let export = send(&server.operator, Method::POST, &format!("{path}/export")).await;
            server.operator.delete(&path).await.unwrap();
            post(format!("{path}/import")).file(export.body)
        }
        "post_tenants_id_backup" => post(format!("/v1/tenants/{}/backup", tenant.id)),
        "post_tenants_id_restore" => {
            let path = format!("/v1/tenants/{}", tenant.id);
            let backup = send(&server.operator, Method::POST, &format!("{path}/backup")).await;
            post(format!("{path}/restore")).file(backup.body)
        }
        _ => return None,
    })
}

/// A tenant that was suspended, by its path.
async fn suspended(server: &Server, name: &str) -> String {
    let path = format!("/v1/tenants/{}", server.tenant(name).await.id);
    server.operator.post(&format!("{path}/suspend"), &json!({})).await.unwrap();
    path
}

pub(super) async fn sample(operation: &str, world: &World) -> Option<Sample> {
    if let Some(sample) = log_sample(operation, world).await {
        return Some(sample);
    }
    if let Some(sample) = tenant_sample(operation, world).await {
        return Some(sample);
    }
    let (server, tenant) = (&world.server, &world.tenant);
    let get = |path: String| Sample::new(By::Operator, Method::GET, path);
    let post = |path: String| Sample::new(By::Operator, Method::POST, path);
    let put = |path: &str| Sample::new(By::Operator, Method::PUT, path);
    Some(match operation {
        "get_healthz" | "get_readyz" | "get_openapi_json" => {
            let file = operation.trim_start_matches("get_").replace('_', ".");
            Sample::new(By::Anyone, Method::GET, format!("/{file}"))
        }
        "get_errors_code" => Sample::new(By::Anyone, Method::GET, "/errors/not_found"),
        "post_tenants" => post("/v1/tenants".into()).json(&json!({"name": "Another"})),
        "get_tenants" => get("/v1/tenants".into()),
        "get_tenants_id" => get(format!("/v1/tenants/{}", tenant.id)),
        "patch_tenants_id" => {
            let path = format!("/v1/tenants/{}", server.tenant("Changed").await.id);
            Sample::new(By::Operator, Method::PATCH, path).json(&json!({"plan": "professional"}))
        }
        "delete_tenants_id" => {
            let path = format!("/v1/tenants/{}", server.tenant("Deleted").await.id);
            Sample::new(By::Operator, Method::DELETE, path)
        }
        "get_plans_name" => get("/v1/plans/starter".into()),
        "put_plans_name" => put("/v1/plans/small").json(&json!({
            "ai_calls_per_hour": 1, "api_calls_per_hour": 2, "requests_per_second": 3,
            "concurrent_runs": 4, "storage_bytes": null,
        })),
        "put_endpoints_name" => put("/v1/endpoints/main").json(&endpoint()),
        "get_endpoints_name" => {
            server.operator.put("/v1/endpoints/main", &endpoint()).await.unwrap();
            get("/v1/endpoints/main".into())
        }
        "post_templates" => {
            post("/v1/templates".into()).json(&json!({"name": "triage", "definition": LEAD_TRIAGE}))
        }
        "get_templates" => get("/v1/templates".into()),
        "delete_templates_name" => {
            publish(world, "gone").await;
            Sample::new(By::Operator, Method::DELETE, "/v1/templates/gone".to_owned())
        }
        "get_templates_name_versions_n" => {
            publish(world, "read").await;
            get("/v1/templates/read/versions/1".into())
        }
        _ => return None,
    })
}

async fn publish(world: &World, name: &str) {
    let template = json!({"name": name, "definition": LEAD_TRIAGE});
    world.server.operator.post("/v1/templates", &template).await.unwrap();
}

fn endpoint() -> serde_json::Value {
    json!({
        "url": "https://models.example.com/v1", "dialect": "openai", "models": ["small"], "api_key": "sk-secret",
        "prices": {"small": {"input_per_million": "0.15", "output_per_million": "0.60"}},
        "max_output_tokens": 4096,
    })
}
