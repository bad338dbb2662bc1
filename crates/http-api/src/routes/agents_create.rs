//! `POST /v1/agents`: makes an agent.

use crate::body::Json;
use crate::call::TenantCall;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::agents::{self, NewAgent};
use axum::extract::State;
use context::{Create, on};
use http::{Method, StatusCode};
use store::Agent;

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/agents", handle)
        .about("agents", "Make an agent, which keys may name")
        .for_tenants::<Create<on::Agent>>()
        .audited(Audited::Event("agent.create"))
        .body::<NewAgent>()
        .answers::<Agent>(201)
}

async fn handle(State(api): State<Api>, call: TenantCall, body: Json<NewAgent>) -> Answer {
    write(&api, call.answering(StatusCode::CREATED), body.hash, async |tenant, claim, _| {
        let agent = agents::create(&api.app, &tenant, body.value, claim).await?;
        agent.try_map(|(agent, version)| Ok(Written::json(StatusCode::CREATED, &agent)?.tagged(version)))
    })
    .await
}
