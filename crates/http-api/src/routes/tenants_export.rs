//! `POST /v1/tenants/{id}/export`: gives all of a suspended tenant, sealed, for another deployment to take in.

use crate::call::{OperatorCall, named};
use crate::file;
use crate::query::Path;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::transfers;
use axum::extract::State;
use errors::Problem;
use http::Method;
use ids::TenantId;

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/export", handle)
        .about("tenants", "Export a suspended tenant for another deployment with the same master key")
        .for_operators()
        .never_repeated()
        .audited(Audited::Event("tenant.export"))
        .answers_with(200, "application/octet-stream")
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let id: TenantId = named(&id)?;
    if call.conditions.idempotency.is_some() {
        let detail = "An export is written anew each time and kept nowhere. Leave `Idempotency-Key` out.";
        return Err(Problem::invalid(detail).into());
    }
    let (_, sealed) = transfers::export(&api.app, &call.operator, id).await?;
    Ok(file::send(sealed, &format!("{id}.tenant")).await?)
}
