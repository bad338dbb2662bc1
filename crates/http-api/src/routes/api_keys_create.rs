//! `POST /v1/api-keys`: issues an API key.

use crate::body::Json;
use crate::call::TenantCall;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::keys::{self, NewKey};
use axum::extract::State;
use context::{Create, on};
use errors::Problem;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use store::ApiKeyRecord;

/// A key that was just made.
#[derive(Serialize, JsonSchema)]
struct MadeKey {
    #[serde(flatten)]
    record: ApiKeyRecord,
    /// The key itself, shown this once; null where the request is repeated.
    key: Option<String>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/api-keys", handle)
        .about("keys", "Issue an API key")
        .for_tenants::<Create<on::ApiKey>>()
        .audited(Audited::Event("api_key.create"))
        .body::<NewKey>()
        .answers::<MadeKey>(201)
}

async fn handle(State(api): State<Api>, call: TenantCall, body: Json<NewKey>) -> Answer {
    write(&api, call.answering(StatusCode::CREATED).hiding("key"), body.hash, async |tenant, claim, _| {
        let issued = keys::create(&api.app, &tenant, body.value, claim).await?;
        issued.try_map(|issued| {
            let repeated = MadeKey { record: issued.record.clone(), key: None };
            let made = MadeKey { record: issued.record, key: Some(issued.secret.expose().to_owned()) };
            let remembered = Written::json(StatusCode::CREATED, &repeated)?.body;
            Ok::<_, Problem>(Written::json(StatusCode::CREATED, &made)?.remembered_as(remembered))
        })
    })
    .await
}
