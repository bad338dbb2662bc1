//! Calls about credentials for outside services.

use super::{By, Sample};
use crate::harness::Tenant;
use http::Method;
use serde_json::json;

pub(super) async fn sample(operation: &str, tenant: &Tenant) -> Option<Sample> {
    let of = |method, path: &str| Sample::new(By::Owner, method, path);
    let key = json!({"kind": "api_key", "key": "k3y", "hosts": ["api.example.com"]});
    Some(match operation {
        "put_credentials_service" => of(Method::PUT, "/v1/credentials/crm").json(&key),
        "get_credentials" => of(Method::GET, "/v1/credentials"),
        "get_credentials_service" => {
            tenant.owner.put("/v1/credentials/read", &key).await.unwrap();
            of(Method::GET, "/v1/credentials/read")
        }
        "delete_credentials_service" => {
            tenant.owner.put("/v1/credentials/removed", &key).await.unwrap();
            of(Method::DELETE, "/v1/credentials/removed")
        }
        _ => return None,
    })
}
