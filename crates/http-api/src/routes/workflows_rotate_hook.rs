//! `POST /v1/workflows/{id}/hook`: gives a workflow another inbound address.

use super::workflows_create::{HookedBody, written};
use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, write};
use crate::{Api, Audited, Operation};
use app::workflows;
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/workflows/{id}/hook", handle)
        .about("work", "Give a workflow another inbound address; the one before is refused from then on")
        .for_tenants::<Update<on::Workflow>>()
        .audited(Audited::Event("workflow.rotate_hook"))
        .conditional()
        .answers::<HookedBody>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write(&api, call.answering(StatusCode::OK), NO_BODY, async |tenant, claim, conditions| {
        let made = workflows::rotate_hook(&api.app, &tenant, id, conditions.expected, claim).await?;
        made.try_map(|made| written(StatusCode::OK, &made))
    })
    .await
}
