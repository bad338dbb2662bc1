//! `GET /v1/api-keys/{id}`: one API key.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::keys::{self, ApiKeyView};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;

const READ: Action = Action::new("api_key.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/api-keys/{id}", handle)
        .about("keys", "Read what is known of an API key")
        .for_tenants::<Read<on::ApiKey>>()
        .audited(Audited::Aggregated("api_key.read"))
        .answers::<ApiKeyView>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = keys::get(&api.app, &tenant, id).await?;
        note_read(&api, &noted, &tenant, READ, "api_key", "keys");
        Ok(found)
    })
    .await
}
