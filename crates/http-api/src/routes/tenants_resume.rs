//! `POST /v1/tenants/{id}/resume`: lets a suspended tenant take part again.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::tenants::{self, TenantView};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/resume", handle)
        .about("tenants", "Let a suspended tenant take part again")
        .for_operators()
        .audited(Audited::Event("tenant.resume"))
        .conditional()
        .answers::<TenantView>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, NO_BODY, async |operator, conditions| {
        let tenant = tenants::resume(&api.app, operator, id, conditions.expected).await?;
        Ok(Written::json(StatusCode::OK, &tenant)?.tagged(tenant.version))
    })
    .await
}
