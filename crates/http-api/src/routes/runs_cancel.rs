//! `POST /v1/runs/{id}/cancel`: ends a run.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write};
use crate::{Api, Audited, Operation};
use app::runs::{self, RunRef};
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/runs/{id}/cancel", handle)
        .about("work", "End a run: what is under way is called off, the rest is cancelled")
        .for_tenants::<Update<on::Run>>()
        .audited(Audited::Event("run.cancel"))
        .answers::<RunRef>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write(&api, call, NO_BODY, async |tenant, claim, _| {
        let run = runs::cancel(&api.app, &tenant, id, claim).await?;
        run.try_map(|run| Written::json(StatusCode::OK, &run))
    })
    .await
}
