//! `POST /v1/workflows/{id}/upgrade`: goes over to another version of the template.

use crate::body::Json;
use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::workflows::{self, UpgradeInput, WorkflowDetail};
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/workflows/{id}/upgrade", handle)
        .about("work", "Go over to another version of the template; runs under way keep theirs")
        .for_tenants::<Update<on::Workflow>>()
        .audited(Audited::Event("workflow.upgrade"))
        .conditional()
        .body::<UpgradeInput>()
        .answers::<WorkflowDetail>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(id): Path<String>,
    body: Json<UpgradeInput>,
) -> Answer {
    let id = named(&id)?;
    write(&api, call.answering(StatusCode::OK), body.hash, async |tenant, claim, conditions| {
        let upgraded = workflows::upgrade(&api.app, &tenant, id, body.value, conditions.expected, claim);
        let upgraded = upgraded.await?;
        upgraded.try_map(|(workflow, version)| Ok(Written::json(StatusCode::OK, &workflow)?.tagged(version)))
    })
    .await
}
