//! `POST /v1/tenants/{id}/import`: takes in a tenant that another deployment has exported.

use crate::call::{OperatorCall, named};
use crate::query::{Path, Query};
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation, file};
use app::lifecycle::MAX_BACKUP_BYTES;
use app::transfers;
use axum::extract::{Request, State};
use http::{Method, StatusCode};
use serde::Deserialize;
use store::Exported;

#[derive(Deserialize)]
struct Wanted {
    isolation: Option<String>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/import", handle)
        .about(
            "tenants",
            "Take in a tenant that another deployment has exported; it is suspended until it is resumed",
        )
        .for_operators()
        .audited(Audited::Event("tenant.import"))
        .takes("isolation", "How the tenant is to be kept apart here: `dedicated`, `schema` or `pooled`")
        .body_file()
        .answers::<Exported>(201)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    request: Request,
) -> Answer {
    let id = named(&id)?;
    call.operator.must_change()?;
    let arrived = api.app.scratch.place(&api.app.env).await?;
    let hash = file::receive(request, &arrived, MAX_BACKUP_BYTES).await?;
    write_as_operator(&api, call, hash, async |operator, _| {
        let imported =
            transfers::import(&api.app, operator, id, &arrived, wanted.isolation.as_deref()).await?;
        Written::json(StatusCode::CREATED, &imported)
    })
    .await
}
