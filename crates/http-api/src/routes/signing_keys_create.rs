//! `POST /v1/signing-keys`: registers a key whose owner mints tokens in the tenant's name.

use crate::body::Json;
use crate::call::TenantCall;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::signing_keys::{self, NewSigningKey};
use axum::extract::State;
use context::{Create, on};
use http::{Method, StatusCode};
use store::SigningKey;

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/signing-keys", handle)
        .about("keys", "Register a key whose owner mints tokens in the tenant's name")
        .for_tenants::<Create<on::SigningKey>>()
        .audited(Audited::Event("signing_key.create"))
        .body::<NewSigningKey>()
        .answers::<SigningKey>(201)
}

async fn handle(State(api): State<Api>, call: TenantCall, body: Json<NewSigningKey>) -> Answer {
    write(&api, call.answering(StatusCode::CREATED), body.hash, async |tenant, claim, _| {
        let key = signing_keys::create(&api.app, &tenant, body.value, claim).await?;
        key.try_map(|key| Written::json(StatusCode::CREATED, &key))
    })
    .await
}
