//! The calls by which tenants come and go.

use crate::{CallError, Client};
use secret::SecretText;
use serde_json::{Value, json};

/// A tenant that was just made.
#[derive(Clone)]
pub struct MadeTenant {
    /// Its id.
    pub id: String,
    /// Its first key's id.
    pub key_id: String,
    /// Its first key.
    pub key: SecretText,
}

impl Client {
    /// Makes a tenant on this plan. Needs an operator's key.
    pub async fn make_tenant(&self, name: &str, plan: &str) -> Result<MadeTenant, CallError> {
        self.make_tenant_as(&json!({"name": name, "plan": plan})).await
    }

    /// Makes a tenant as this body says. Needs an operator's key, or a grant.
    pub async fn make_tenant_as(&self, body: &Value) -> Result<MadeTenant, CallError> {
        let made = self.post("/v1/tenants", body).await?;
        let text = |value: &Value, name: &str| {
            value[name].as_str().map(str::to_owned).ok_or_else(|| {
                CallError::Unexpected(format!("the answer to `POST /v1/tenants` has no `{name}`"))
            })
        };
        let first = &made["api_key"];
        let (id, key_id, key) = (text(&made, "id")?, text(first, "id")?, text(first, "key")?);
        Ok(MadeTenant { id, key_id, key: SecretText::new(key) })
    }

    /// Deletes a tenant; the answer is its receipt. Needs an operator's key.
    pub async fn delete_tenant(&self, id: &str) -> Result<Value, CallError> {
        self.delete(&format!("/v1/tenants/{id}")).await
    }
}
