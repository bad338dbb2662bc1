//! `GET /v1/workflows`: the workflows.

use crate::call::TenantCall;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::workflows::{self, WorkflowView};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::Page;

const READ: Action = Action::new("workflow.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/workflows", handle)
        .about("work", "List the workflows")
        .for_tenants::<Read<on::Workflow>>()
        .audited(Audited::Aggregated("workflow.read"))
        .paged()
        .answers::<Page<WorkflowView>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = workflows::list(&api.app, &tenant, &page).await?;
        note_read(&api, &noted, &tenant, READ, "workflow", "workflows");
        Ok(found)
    })
    .await
}
