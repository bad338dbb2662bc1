//! `POST /v1/tenants/{id}/move`: has a tenant moved to another kind of home.

use crate::body::Json;
use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::moves::{self, MoveInput, MoveView};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/move", handle)
        .about(
            "tenants",
            "Move a tenant to another kind of isolation while it works; `last_move` says how far it is",
        )
        .for_operators()
        .audited(Audited::Event("tenant.move"))
        .body::<MoveInput>()
        .answers::<MoveView>(202)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path(id): Path<String>,
    body: Json<MoveInput>,
) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, body.hash, async |operator, _| {
        Written::json(StatusCode::ACCEPTED, &moves::begin(&api.app, operator, id, &body.value).await?)
    })
    .await
}
