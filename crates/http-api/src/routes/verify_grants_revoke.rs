//! `DELETE /v1/verify-grants/{id}`: revokes a grant to run the attack suite, and erases its tenants.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::verify_grants;
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/verify-grants/{id}", handle)
        .about("operators", "Revoke a grant to run the attack suite, and erase its throwaway tenants")
        .for_operators()
        .audited(Audited::Event("verify_grant.revoke"))
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, NO_BODY, async |operator, _| {
        verify_grants::revoke(&api.app, operator, id).await?;
        Ok(Written::empty())
    })
    .await
}
