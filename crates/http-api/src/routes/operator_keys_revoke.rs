//! `DELETE /v1/operator-keys/{id}`: revokes an operator's key.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::operator_keys;
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/operator-keys/{id}", handle)
        .about("operators", "Revoke an operator's key; the last one with the role `admin` stays")
        .for_operators()
        .audited(Audited::Event("operator_key.revoke"))
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, NO_BODY, async |operator, _| {
        operator_keys::revoke(&api.app, operator, id).await?;
        Ok(Written::empty())
    })
    .await
}
