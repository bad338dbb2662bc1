//! `GET /v1/agents`: the agents.

use crate::call::TenantCall;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::agents;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::{Agent, Page};

const READ: Action = Action::new("agent.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/agents", handle)
        .about("agents", "List the agents")
        .for_tenants::<Read<on::Agent>>()
        .audited(Audited::Aggregated("agent.read"))
        .paged()
        .answers::<Page<Agent>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = agents::list(&api.app, &tenant, &page).await?;
        note_read(&api, &noted, &tenant, READ, "agent", "agents");
        Ok(found)
    })
    .await
}
