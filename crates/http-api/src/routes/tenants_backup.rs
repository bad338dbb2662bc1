//! `POST /v1/tenants/{id}/backup`: gives a consistent backup of a tenant, which only its own key opens.

use crate::call::{OperatorCall, named};
use crate::file;
use crate::query::Path;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::lifecycle;
use axum::extract::State;
use errors::Problem;
use http::Method;
use ids::TenantId;

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/backup", handle)
        .about("tenants", "Take a backup of a tenant, sealed under a key of its own")
        .for_operators()
        .never_repeated()
        .audited(Audited::Event("tenant.backup"))
        .answers_with(200, "application/octet-stream")
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let id: TenantId = named(&id)?;
    if call.conditions.idempotency.is_some() {
        let detail = "A backup is taken anew each time and kept nowhere. Leave `Idempotency-Key` out.";
        return Err(Problem::invalid(detail).into());
    }
    let (backup, sealed) = lifecycle::back_up(&api.app, &call.operator, id).await?;
    Ok(file::send(sealed, &format!("{id}.{backup}.backup")).await?)
}
