//! `POST /v1/records/{collection}`: adds a record.

use crate::body::Json;
use crate::call::{TenantCall, slug};
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::records;
use axum::extract::State;
use context::{Create, on};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use store::Record;

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/records/{collection}", handle)
        .about("data", "Add a record to a collection")
        .for_tenants::<Create<on::Record>>()
        .audited(Audited::Event("record.create"))
        .body::<Map<String, Value>>()
        .answers::<Record>(201)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(collection): Path<String>,
    body: Json<Map<String, Value>>,
) -> Answer {
    let collection = slug(&collection)?;
    write(&api, call.answering(StatusCode::CREATED), body.hash, async |tenant, claim, _| {
        let record = records::create(&api.app, &tenant, collection, body.value, claim).await?;
        record.try_map(|record| Ok(Written::json(StatusCode::CREATED, &record)?.tagged(record.version)))
    })
    .await
}
