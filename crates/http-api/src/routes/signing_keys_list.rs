//! `GET /v1/signing-keys`: the registered signing keys.

use crate::call::TenantCall;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::signing_keys;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::{Page, SigningKey};

const READ: Action = Action::new("signing_key.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/signing-keys", handle)
        .about("keys", "List the registered signing keys")
        .for_tenants::<Read<on::SigningKey>>()
        .audited(Audited::Aggregated("signing_key.read"))
        .paged()
        .answers::<Page<SigningKey>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = signing_keys::list(&api.app, &tenant, &page).await?;
        note_read(&api, &noted, &tenant, READ, "signing_key", "keys");
        Ok(found)
    })
    .await
}
