//! `POST /v1/tenants/{id}/data-key`: gives a tenant another data key, and encrypts what it stored anew.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::lifecycle::{self, KeyChanged};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/data-key", handle)
        .about("tenants", "Encrypt a tenant's store anew under another key; older backups open no more")
        .for_operators()
        .audited(Audited::Event("tenant.change_key"))
        .answers::<KeyChanged>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    write_as_operator(&api, call, NO_BODY, async |operator, _| {
        Written::json(StatusCode::OK, &lifecycle::change_key(&api.app, operator, id).await?)
    })
    .await
}
