//! `PATCH /v1/workflows/{id}`: changes a workflow's name or configuration.

use crate::body::Json;
use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::workflows::{self, WorkflowChange, WorkflowDetail};
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::PATCH, "/v1/workflows/{id}", handle)
        .about("work", "Change a workflow's name or configuration; runs under way keep theirs")
        .for_tenants::<Update<on::Workflow>>()
        .audited(Audited::Event("workflow.update"))
        .conditional()
        .body::<WorkflowChange>()
        .answers::<WorkflowDetail>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(id): Path<String>,
    body: Json<WorkflowChange>,
) -> Answer {
    let id = named(&id)?;
    write(&api, call.answering(StatusCode::OK), body.hash, async |tenant, claim, conditions| {
        let changed = workflows::change(&api.app, &tenant, id, body.value, conditions.expected, claim);
        let changed = changed.await?;
        changed.try_map(|(workflow, version)| Ok(Written::json(StatusCode::OK, &workflow)?.tagged(version)))
    })
    .await
}
