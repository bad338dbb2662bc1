//! `GET /v1/signing-keys/{id}`: one signing key.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::signing_keys;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::SigningKey;

const READ: Action = Action::new("signing_key.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/signing-keys/{id}", handle)
        .about("keys", "Read a signing key")
        .for_tenants::<Read<on::SigningKey>>()
        .audited(Audited::Aggregated("signing_key.read"))
        .answers::<SigningKey>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = signing_keys::get(&api.app, &tenant, id).await?;
        note_read(&api, &noted, &tenant, READ, "signing_key", "keys");
        Ok(found)
    })
    .await
}
