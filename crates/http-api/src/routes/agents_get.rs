//! `GET /v1/agents/{id}`: one agent.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read, read_versioned};
use crate::{Api, Audited, Operation};
use app::agents;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::Agent;

const READ: Action = Action::new("agent.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/agents/{id}", handle)
        .about("agents", "Read an agent")
        .for_tenants::<Read<on::Agent>>()
        .audited(Audited::Aggregated("agent.read"))
        .answers::<Agent>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    let noted = call.admission.clone();
    read_versioned(call, async |tenant| {
        let found = agents::get(&api.app, &tenant, id).await?;
        note_read(&api, &noted, &tenant, READ, "agent", "agents");
        Ok(found)
    })
    .await
}
