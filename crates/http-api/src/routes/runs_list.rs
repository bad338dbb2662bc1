//! `GET /v1/runs`: runs, newest first.

use crate::call::TenantCall;
use crate::operation::Form;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::runs::{self, RunView};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use ids::WorkflowId;
use serde::Deserialize;
use store::{Page, RunStatus};

const READ: Action = Action::new("run.read");

/// Which runs are wanted.
#[derive(Debug, Deserialize)]
struct Wanted {
    workflow: Option<WorkflowId>,
    status: Option<RunStatus>,
    #[serde(flatten)]
    paging: Paging,
}

const WORKFLOW: &str = "^wfl_[0-7][0-9A-HJKMNP-TV-Z]{25}$";
const STATUSES: &[&str] = &["queued", "running", "waiting", "succeeded", "failed", "cancelled"];

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/runs", handle)
        .about("work", "List runs, newest first")
        .for_tenants::<Read<on::Run>>()
        .audited(Audited::Aggregated("run.read"))
        .takes_as(Form::Pattern(WORKFLOW), "workflow", "only runs of this workflow")
        .takes_as(Form::OneOf(STATUSES), "status", "only runs that stand so")
        .paged()
        .answers::<Page<RunView>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(wanted): Query<Wanted>) -> Answer {
    let page = wanted.paging.page()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = runs::list(&api.app, &tenant, wanted.workflow, wanted.status, &page).await?;
        note_read(&api, &noted, &tenant, READ, "run", "runs");
        Ok(found)
    })
    .await
}
