//! `DELETE /v1/signing-keys/{id}`: revokes a signing key.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, write_silently};
use crate::{Api, Audited, Operation};
use app::signing_keys;
use axum::extract::State;
use context::{Delete, on};
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/signing-keys/{id}", handle)
        .about("keys", "Revoke a signing key, from the next request on")
        .for_tenants::<Delete<on::SigningKey>>()
        .audited(Audited::Event("signing_key.revoke"))
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_silently(&api, call, async |tenant, claim, _| {
        signing_keys::revoke(&api.app, &tenant, id, claim).await
    })
    .await
}
