//! `DELETE /v1/api-keys/{id}`: revokes an API key.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, write_silently};
use crate::{Api, Audited, Operation};
use app::keys;
use axum::extract::State;
use context::{Delete, on};
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/api-keys/{id}", handle)
        .about("keys", "Revoke an API key, from the next request on")
        .for_tenants::<Delete<on::ApiKey>>()
        .audited(Audited::Event("api_key.revoke"))
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_silently(&api, call, async |tenant, claim, _| keys::revoke(&api.app, &tenant, id, claim).await)
        .await
}
