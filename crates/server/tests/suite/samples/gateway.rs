//! Calls about models, what they cost and what limits them.

use super::{By, Sample};
use crate::harness::Tenant;
use http::Method;
use serde_json::json;

pub(super) async fn sample(operation: &str, tenant: &Tenant) -> Option<Sample> {
    let get = |path: &str| Sample::new(By::Owner, Method::GET, path);
    let budget = json!({"per": "day", "usd": "5.00"});
    Some(match operation {
        "post_chat_completions" => {
            Sample::new(By::Owner, Method::POST, "/v1/chat/completions").json(&json!({
                "model": "offline", "messages": [{"role": "user", "content": "Say hello."}],
            }))
        }
        "get_models" => get("/v1/models"),
        "get_models_id" => get("/v1/models/offline"),
        "get_limits" => get("/v1/limits"),
        "get_usage" => get("/v1/usage?group_by=model"),
        "get_budgets" => get("/v1/budgets"),
        "put_budgets_scope_id" => {
            let path = format!("/v1/budgets/key/{}", tenant.key_id);
            Sample::new(By::Owner, Method::PUT, path).json(&budget)
        }
        "delete_budgets_scope_id" => {
            let path = format!("/v1/budgets/key/{}", tenant.key_id);
            tenant.owner.put(&path, &budget).await.unwrap();
            Sample::new(By::Owner, Method::DELETE, path)
        }
        _ => return None,
    })
}
