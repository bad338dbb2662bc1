//! `POST /v1/worker/calls`: counts a call to an outside service that a tenant's own worker makes.

use crate::body::Json;
use crate::call::WorkerCall;
use crate::respond::{Answer, Written, rendered};
use crate::{Api, Audited, Operation};
use app::own_workers::{self, CallCount};
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/worker/calls", handle)
        .about("workers", "Count a call to an outside service that a tenant's own worker makes")
        .for_workers()
        .audited(Audited::Silent(
            "the call itself is in the log, where the worker writes it before it is made",
        ))
        .body::<CallCount>()
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, WorkerCall(worker): WorkerCall, body: Json<CallCount>) -> Answer {
    own_workers::count(&api.app, &worker, body.value).await?;
    Ok(rendered(&Written::empty()))
}
