//! Calls about keys and agents.

use super::{By, Sample};
use crate::harness::{PUBLIC_JWK, Tenant};
use http::Method;
use serde_json::json;

pub(super) async fn sample(operation: &str, tenant: &Tenant) -> Option<Sample> {
    let get = |path: String| Sample::new(By::Owner, Method::GET, path);
    let post = |path: &str| Sample::new(By::Owner, Method::POST, path);
    let delete = |path: String| Sample::new(By::Owner, Method::DELETE, path);
    Some(match operation {
        "get_me" => get("/v1/me".into()),
        "post_api_keys" => post("/v1/api-keys").json(&json!({"name": "a key", "role": "viewer"})),
        "get_api_keys" => get("/v1/api-keys".into()),
        "get_api_keys_id" => get(format!("/v1/api-keys/{}", tenant.api_key().await)),
        "delete_api_keys_id" => delete(format!("/v1/api-keys/{}", tenant.api_key().await)),
        "post_signing_keys" => {
            post("/v1/signing-keys").json(&json!({"alg": "EdDSA", "public_jwk": PUBLIC_JWK.jwk()}))
        }
        "get_signing_keys" => get("/v1/signing-keys".into()),
        "get_signing_keys_id" => get(format!("/v1/signing-keys/{}", tenant.signing_key().await)),
        "delete_signing_keys_id" => delete(format!("/v1/signing-keys/{}", tenant.signing_key().await)),
        "post_agents" => post("/v1/agents").json(&json!({"name": "triage"})),
        "get_agents" => get("/v1/agents".into()),
        "get_agents_id" => get(format!("/v1/agents/{}", tenant.agent().await)),
        "patch_agents_id" => {
            let path = format!("/v1/agents/{}", tenant.agent().await);
            Sample::new(By::Owner, Method::PATCH, path).json(&json!({"description": "sorts"}))
        }
        "delete_agents_id" => delete(format!("/v1/agents/{}", tenant.agent().await)),
        _ => return None,
    })
}
