//! `DELETE /v1/credentials/{service}`: removes a credential.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, write_silently};
use crate::{Api, Audited, Operation};
use axum::extract::State;
use context::{Delete, on};
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/credentials/{service}", handle)
        .about("secrets", "Remove the credential for a service")
        .for_tenants::<Delete<on::Credential>>()
        .audited(Audited::Event("credential.delete"))
        .conditional()
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(service): Path<String>) -> Answer {
    let service = named(&service)?;
    write_silently(&api, call, async |tenant, claim, conditions| {
        api.app.vault.delete(&tenant, &service, conditions.expected, claim).await
    })
    .await
}
