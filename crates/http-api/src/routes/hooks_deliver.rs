//! `POST /hooks/{token}`: takes a delivery of an outside service. The token says whose it is, and the
//! signature that it is genuine; the body says neither.

use crate::body::{self, MAX_BODY_BYTES};
use crate::call::facts;
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
    let bytes = body::read(Request::new(body), MAX_BODY_BYTES).await?;
    let named = parts.headers.iter();
    let headers: Vec<_> =
        named.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let inbound = Inbound { headers: &headers, body: &bytes };
    let taken = hooks::deliver(&api.app, &token, &inbound, facts).await?;
    let status = match &taken {
        Taken::Run(Delivered { repeated: false, .. }) => StatusCode::ACCEPTED,
        Taken::Run(_) | Taken::Challenge { .. } => StatusCode::OK,
    };
    Ok((status, Json(taken)).into_response())
}
