//! `POST /hooks/{token}`: takes a delivery of an outside service. The token says whose it is, and the
//! signature that it is genuine; the body says neither.

use crate::bodies::Payer;
use crate::body::{self, MAX_BODY_BYTES};
use crate::call::{facts, let_in};
use crate::query::Path;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::hooks::{self, Delivered, Inbound, Taken};
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
        .answers::<Taken>(200)
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
    let named = parts.headers.iter();
    let headers: Vec<_> =
        named.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let inbound = Inbound { headers: &headers, body: &bytes };
    let taken = hooks::deliver(&api.app, admitted, &inbound).await?;
    let status = match &taken {
        Taken::Run(Delivered { repeated: false, .. }) => StatusCode::ACCEPTED,
        Taken::Run(_) | Taken::Challenge { .. } => StatusCode::OK,
    };
    Ok((status, Json(taken)).into_response())
}
