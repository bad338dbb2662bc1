//! `DELETE /v1/tenants/{id}`: erases a tenant and says what that covers.

use crate::call::{MakerCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::{tenants, verify_grants};
use axum::extract::State;
use http::{Method, StatusCode};
use store::ErasureReceipt;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/tenants/{id}", handle)
        .about("tenants", "Erase a tenant, and say what that covers")
        .for_operators()
        .and_for_grants()
        .audited(Audited::Event("tenant.delete"))
        .conditional()
        .answers::<ErasureReceipt>(200)
}

async fn handle(State(api): State<Api>, made_by: MakerCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    let MakerCall { call, grant } = made_by;
    write_as_operator(&api, call, NO_BODY, async |operator, conditions| {
        let receipt = match &grant {
            Some(grant) => verify_grants::delete(&api.app, grant, id, conditions.expected).await?,
            None => tenants::delete(&api.app, operator, id, conditions.expected).await?,
        };
        Written::json(StatusCode::OK, &receipt)
    })
    .await
}
