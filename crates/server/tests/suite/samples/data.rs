//! Calls about records and the audit log.

use super::{By, Sample};
use crate::harness::Tenant;
use http::Method;
use serde_json::json;

pub(super) async fn sample(operation: &str, tenant: &Tenant) -> Option<Sample> {
    let get = |path: String| Sample::new(By::Owner, Method::GET, path);
    Some(match operation {
        "post_records_collection" => {
            Sample::new(By::Owner, Method::POST, "/v1/records/contacts").json(&json!({"name": "Ada"}))
        }
        "get_records_collection" => get("/v1/records/contacts".into()),
        "put_records_collection" => {
            Sample::new(By::Owner, Method::PUT, "/v1/records/contacts").json(&json!({"indexes": ["name"]}))
        }
        "get_records_collection_id" => get(format!("/v1/records/contacts/{}", tenant.record().await)),
        "patch_records_collection_id" => {
            let path = format!("/v1/records/contacts/{}", tenant.record().await);
            Sample::new(By::Owner, Method::PATCH, path).json(&json!({"name": "Grace"}))
        }
        "delete_records_collection_id" => {
            Sample::new(By::Owner, Method::DELETE, format!("/v1/records/contacts/{}", tenant.record().await))
        }
        "get_audit_events" => get("/v1/audit/events".into()),
        "get_audit_checkpoint" => get("/v1/audit/checkpoint".into()),
        "get_audit_key" => get("/v1/audit/key".into()),
        "get_audit_proof" => get("/v1/audit/proof?index=0".into()),
        "post_audit_erase_personal" => Sample::new(By::Owner, Method::POST, "/v1/audit/erase-personal")
            .json(&json!({"value": "ada@example.com"})),
        "get_audit_export" => get("/v1/audit/export?format=jsonl".into()),
        "post_subjects_subject" => {
            Sample::new(By::Owner, Method::POST, "/v1/subjects/app.orders.created").json(&json!({"a": 1}))
        }
        "get_subjects_subject" => get("/v1/subjects/app.orders.created".into()).listening(),
        _ => return None,
    })
}
