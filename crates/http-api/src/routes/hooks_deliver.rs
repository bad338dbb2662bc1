//! `POST /hooks/{token}`: takes a delivery of an outside service. The token says whose it is, and the
//! signature that it is genuine; the body says neither.

use crate::bodies::Payer;
use crate::body::{self, MAX_BODY_BYTES};
use crate::call::{facts, let_in};
use crate::query::Path;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::hooks::{self, Delivered, Inbound};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/hooks/{token}", handle)
        .about("work", "Deliver to a workflow: 202 when its run is durable, 200 when it came before")
        .for_token_holders()
        .audited(Audited::Event("hook.deliver"))
        .answers::<Delivered>(202)
        .answers::<Delivered>(200)
}

async fn handle(State(api): State<Api>, Path(token): Path<String>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let facts = facts(&parts, &api);
    // Nothing is read of whoever has no token that holds.
    let admitted = hooks::admit(&api.app, &token, facts).await?;
    let_in(&parts.extensions, &admitted.admission).await;
    let mut request = Request::new(body);
    request.extensions_mut().insert(Payer::Tenant(admitted.admission.tenant_id()));
    let bytes = body::read(request, &api, MAX_BODY_BYTES).await?;
    let header = |name: &str| parts.headers.get(name)?.to_str().ok();
    let inbound = Inbound { header: &header, body: &bytes };
    let delivered = hooks::deliver(&api.app, admitted, &inbound).await?;
    let status = if delivered.repeated { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(delivered)).into_response())
}
