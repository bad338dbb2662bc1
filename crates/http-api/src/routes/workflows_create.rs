//! `POST /v1/workflows`: makes a workflow, from a template's version or a definition of its own.

use crate::body::Json;
use crate::call::TenantCall;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::workflows::{self, Hooked, NewWorkflow};
use axum::extract::State;
use context::{Create, on};
use errors::Problem;
use http::{Method, StatusCode};
use ids::WorkflowId;
use schemars::JsonSchema;
use serde::Serialize;

/// A workflow that was just made, or has a new inbound address.
#[derive(Serialize, JsonSchema)]
pub(super) struct HookedBody {
    /// The workflow.
    id: WorkflowId,
    /// Where deliveries go, if webhooks start the workflow. Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    hook_url: Option<String>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/workflows", handle)
        .about("work", "Make a workflow")
        .for_tenants::<Create<on::Workflow>>()
        .audited(Audited::Event("workflow.create"))
        .body::<NewWorkflow>()
        .answers::<HookedBody>(201)
}

async fn handle(State(api): State<Api>, call: TenantCall, body: Json<NewWorkflow>) -> Answer {
    write(&api, call.answering(StatusCode::CREATED), body.hash, async |tenant, claim, _| {
        let made = workflows::create(&api.app, &tenant, body.value, claim).await?;
        made.try_map(|made| written(StatusCode::CREATED, &made))
    })
    .await
}

/// The answer, and the one to a repeated request, which shows no address.
pub(super) fn written(status: StatusCode, made: &Hooked) -> Result<Written, Problem> {
    let hook_url = made.hook_url.as_ref().map(|url| url.expose().to_owned());
    let hidden = HookedBody { id: made.workflow.id, hook_url: None };
    let hidden = serde_json::to_value(&hidden).map_err(|_| Problem::internal())?;
    let shown = HookedBody { id: made.workflow.id, hook_url };
    Ok(Written::json(status, &shown)?.tagged(made.version).remembered_as(hidden))
}
