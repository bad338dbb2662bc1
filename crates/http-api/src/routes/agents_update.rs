//! `PATCH /v1/agents/{id}`: changes an agent.

use crate::body::Json;
use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::agents::{self, AgentChange};
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};
use store::Agent;

pub(super) fn operation() -> Operation {
    Operation::new(Method::PATCH, "/v1/agents/{id}", handle)
        .about("agents", "Change an agent")
        .for_tenants::<Update<on::Agent>>()
        .audited(Audited::Event("agent.update"))
        .conditional()
        .body::<AgentChange>()
        .answers::<Agent>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(id): Path<String>,
    body: Json<AgentChange>,
) -> Answer {
    let id = named(&id)?;
    write(&api, call.answering(StatusCode::OK), body.hash, async |tenant, claim, conditions| {
        let changed = agents::change(&api.app, &tenant, id, body.value, conditions.expected, claim);
        let changed = changed.await?;
        changed.try_map(|(agent, version)| Ok(Written::json(StatusCode::OK, &agent)?.tagged(version)))
    })
    .await
}
