//! `POST /v1/tenants/{id}/suspend`: refuses every key of a tenant and parks its runs.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::standings;
use app::tenants::TenantView;
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/suspend", handle)
        .about("tenants", "Refuse every key of a tenant, and park its runs")
        .for_operators()
        .audited(Audited::Event("tenant.suspend"))
        .conditional()
        .answers::<TenantView>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, NO_BODY, async |operator, conditions| {
        let tenant = standings::suspend(&api.app, operator, id, conditions.expected).await?;
        Ok(Written::json(StatusCode::OK, &tenant)?.tagged(tenant.version))
    })
    .await
}
