//! `DELETE /v1/workflows/{id}`: removes a workflow and its inbound address.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, write_silently};
use crate::{Api, Audited, Operation};
use app::workflows;
use axum::extract::State;
use context::{Delete, on};
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/workflows/{id}", handle)
        .about("work", "Remove a workflow and its inbound address; its runs end as they would")
        .for_tenants::<Delete<on::Workflow>>()
        .audited(Audited::Event("workflow.delete"))
        .conditional()
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_silently(&api, call, async |tenant, claim, conditions| {
        workflows::delete(&api.app, &tenant, id, conditions.expected, claim).await
    })
    .await
}
