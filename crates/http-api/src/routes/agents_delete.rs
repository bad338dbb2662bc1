//! `DELETE /v1/agents/{id}`: removes an agent.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, write_silently};
use crate::{Api, Audited, Operation};
use app::agents;
use axum::extract::State;
use context::{Delete, on};
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/agents/{id}", handle)
        .about("agents", "Remove an agent that no key names any more")
        .for_tenants::<Delete<on::Agent>>()
        .audited(Audited::Event("agent.delete"))
        .conditional()
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_silently(&api, call, async |tenant, claim, conditions| {
        agents::delete(&api.app, &tenant, id, conditions.expected, claim).await
    })
    .await
}
