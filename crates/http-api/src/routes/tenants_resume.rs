//! `POST /v1/tenants/{id}/resume`: lets a suspended tenant take part again.

use crate::call::{OperatorCall, named};
use crate::operation::Form;
use crate::query::{Path, Query};
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::standings;
use app::tenants::TenantView;
use axum::extract::State;
use http::{Method, StatusCode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    not_imported: bool,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/resume", handle)
        .about("tenants", "Let a suspended tenant take part again")
        .for_operators()
        .audited(Audited::Event("tenant.resume"))
        .conditional()
        .takes_as(
            Form::OneOf(&["true", "false"]),
            "not_imported",
            "`true` says that the tenant was exported and imported nowhere, and goes on here",
        )
        .answers::<TenantView>(200)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, NO_BODY, async |operator, conditions| {
        let tenant =
            standings::resume(&api.app, operator, id, conditions.expected, wanted.not_imported).await?;
        Ok(Written::json(StatusCode::OK, &tenant)?.tagged(tenant.version))
    })
    .await
}
