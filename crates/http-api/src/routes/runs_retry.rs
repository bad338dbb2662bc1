//! `POST /v1/runs/{id}/retry`: lets a run that is over go on, from a step or from whatever failed.

use crate::body::{self, MAX_BODY_BYTES};
use crate::call::{TenantCall, named};
use crate::json;
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::runs::{self, RetryRun, RunRef};
use axum::extract::{Request, State};
use context::{Update, on};
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/runs/{id}/retry", handle)
        .about("work", "Let a run that is over go on, from a step or from whatever failed")
        .for_tenants::<Update<on::Run>>()
        .audited(Audited::Event("run.retry"))
        .body::<RetryRun>()
        .answers::<RunRef>(202)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let id = named(&id)?;
    let bytes = body::read(request, &api, MAX_BODY_BYTES).await?;
    // Without a body it goes on from whatever failed.
    let input: RetryRun = if bytes.is_empty() { RetryRun::default() } else { json::parse_body(&bytes)? };
    write(&api, call, Sha256::digest(&bytes).into(), async |tenant, claim, _| {
        let run = runs::retry(&api.app, &tenant, id, input, claim).await?;
        run.try_map(|run| Written::json(StatusCode::ACCEPTED, &run))
    })
    .await
}
