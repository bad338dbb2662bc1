//! `GET /v1/workflows/{id}`: one workflow, with its definition and configuration.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read, read_versioned};
use crate::{Api, Audited, Operation};
use app::workflows::{self, WorkflowDetail};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;

const READ: Action = Action::new("workflow.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/workflows/{id}", handle)
        .about("work", "Read a workflow")
        .for_tenants::<Read<on::Workflow>>()
        .audited(Audited::Aggregated("workflow.read"))
        .answers::<WorkflowDetail>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    let noted = call.admission.clone();
    read_versioned(call, async |tenant| {
        let found = workflows::get(&api.app, &tenant, id).await?;
        note_read(&api, &noted, &tenant, READ, "workflow", "workflows");
        Ok(found)
    })
    .await
}
