//! `GET /v1/tenants/{id}`: one tenant.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, rendered};
use crate::{Api, Audited, Operation};
use app::tenants::{self, TenantView};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/tenants/{id}", handle)
        .about("tenants", "Read a tenant")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers::<TenantView>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let tenant = tenants::get(&api.app, &call.operator, named(&id)?).await?;
    Ok(rendered(&Written::json(StatusCode::OK, &tenant)?.tagged(tenant.version)))
}
