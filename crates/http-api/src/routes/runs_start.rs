//! `POST /v1/workflows/{id}/runs`: starts a run.

use crate::body::Json;
use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::runs::{self, NewRun, RunRef};
use axum::extract::State;
use context::{Create, on};
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/workflows/{id}/runs", handle)
        .about("work", "Start a run; it is durable when this answers")
        .for_tenants::<Create<on::Run>>()
        .audited(Audited::Event("run.create"))
        .body::<NewRun>()
        .answers::<RunRef>(202)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(id): Path<String>,
    body: Json<NewRun>,
) -> Answer {
    let id = named(&id)?;
    write(&api, call.answering(StatusCode::ACCEPTED), body.hash, async |tenant, claim, _| {
        let started = runs::start(&api.app, &tenant, id, body.value, claim).await?;
        started.try_map(|run| Written::json(StatusCode::ACCEPTED, &run))
    })
    .await
}
