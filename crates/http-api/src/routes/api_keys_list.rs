//! `GET /v1/api-keys`: the API keys within reach.

use crate::call::TenantCall;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::keys::{self, ApiKeyView};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::Page;

const READ: Action = Action::new("api_key.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/api-keys", handle)
        .about("keys", "List the API keys within reach, with their last use")
        .for_tenants::<Read<on::ApiKey>>()
        .audited(Audited::Aggregated("api_key.read"))
        .paged()
        .answers::<Page<ApiKeyView>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = keys::list(&api.app, &tenant, &page).await?;
        note_read(&api, &noted, &tenant, READ, "api_key", "keys");
        Ok(found)
    })
    .await
}
