//! `PATCH /v1/records/{collection}/{id}`: merges a patch into a record (RFC 7396).

use crate::body::Json;
use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::records;
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};
use ids::Slug;
use serde_json::{Map, Value};
use store::Record;

pub(super) fn operation() -> Operation {
    Operation::new(Method::PATCH, "/v1/records/{collection}/{id}", handle)
        .about("data", "Merge a patch into a record (RFC 7396)")
        .for_tenants::<Update<on::Record>>()
        .audited(Audited::Event("record.update"))
        .conditional()
        .body::<Map<String, Value>>()
        .answers::<Record>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path((collection, id)): Path<(String, String)>,
    body: Json<Map<String, Value>>,
) -> Answer {
    let (collection, id): (Slug, _) = (named(&collection)?, named(&id)?);
    write(&api, call.answering(StatusCode::OK), body.hash, async |tenant, claim, conditions| {
        let expected = conditions.expected;
        let changed = records::change(&api.app, &tenant, &collection, id, body.value, expected, claim);
        changed.await?.try_map(|record| Ok(Written::json(StatusCode::OK, &record)?.tagged(record.version)))
    })
    .await
}
