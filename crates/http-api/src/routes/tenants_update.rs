//! `PATCH /v1/tenants/{id}`: changes a tenant's plan and limits.

use crate::body::Json;
use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::tenants::{self, TenantChange, TenantView};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::PATCH, "/v1/tenants/{id}", handle)
        .about("tenants", "Change a tenant's plan and limits")
        .for_operators()
        .audited(Audited::Event("tenant.update"))
        .conditional()
        .body::<TenantChange>()
        .answers::<TenantView>(200)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path(id): Path<String>,
    body: Json<TenantChange>,
) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, body.hash, async |operator, conditions| {
        let tenant = tenants::change(&api.app, operator, id, body.value, conditions.expected).await?;
        Ok(Written::json(StatusCode::OK, &tenant)?.tagged(tenant.version))
    })
    .await
}
