//! The models that a tenant may call, as `GET /v1/models` lists them.

use super::resolve::{lacks_key, unknown, usable};
use crate::App;
use context::{Private, Read, Tenant, on};
use errors::Problem;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// A model, in OpenAI's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ModelView {
    /// The name that a call gives.
    pub id: String,
    /// `model`.
    pub object: &'static str,
    /// Seconds since 1970; always 0, since nobody says when a model was made.
    pub created: i64,
    /// The endpoint that serves it.
    pub owned_by: String,
}

/// The models that the tenant may call, by name.
pub async fn models<'t>(app: &App, tenant: &Tenant<'t>) -> Result<Private<'t, Vec<ModelView>>, Problem> {
    tenant.authorize::<Read<on::Model>>()?;
    let mut found = BTreeMap::new();
    for usable in usable(app, tenant, |_| true).await? {
        if lacks_key(app, tenant, &usable).await {
            continue;
        }
        for id in &usable.endpoint.models {
            let owned_by = usable.endpoint.name.to_string();
            found.entry(id.clone()).or_insert_with(|| ModelView {
                id: id.clone(),
                object: "model",
                created: 0,
                owned_by,
            });
        }
    }
    Ok(Private::sent(tenant, found.into_values().collect()))
}

/// One model that the tenant may call.
pub async fn model<'t>(app: &App, tenant: &Tenant<'t>, id: &str) -> Result<Private<'t, ModelView>, Problem> {
    let found = models(app, tenant).await?;
    let found = found.map(|models| models.into_iter().find(|model| model.id == id));
    found.transpose().ok_or_else(|| unknown(id))
}
