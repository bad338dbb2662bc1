//! `GET /v1/models`: the models that the tenant may call, in OpenAI's form.

use crate::call::TenantCall;
use crate::respond::{Answer, read};
use crate::{Api, Audited, Operation};
use app::gateway::{self, ModelView};
use axum::extract::State;
use context::{Read, on};
use http::Method;
use schemars::JsonSchema;
use serde::Serialize;

/// All models; there is one page.
#[derive(Serialize, JsonSchema)]
struct Models {
    /// `list`.
    object: &'static str,
    /// The models.
    data: Vec<ModelView>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/models", handle)
        .about("ai", "The models that the tenant may call")
        .for_tenants::<Read<on::Model>>()
        .audited(Audited::Silent("lists names that the operator chose, no content of the tenant"))
        .answers::<Models>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall) -> Answer {
    read(call, async |tenant| {
        let models = gateway::models(&api.app, &tenant).await?;
        Ok(models.map(|data| Models { object: "list", data }))
    })
    .await
}
