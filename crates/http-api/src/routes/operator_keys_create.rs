//! `POST /v1/operator-keys`: issues an operator's key.

use crate::body::Json;
use crate::call::OperatorCall;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::operator_keys::{self, IssuedOperatorKey, NewOperatorKey};
use axum::extract::State;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use store::OperatorKeyRow;

/// An operator's key that was just made.
#[derive(Serialize, JsonSchema)]
struct MadeOperatorKey {
    #[serde(flatten)]
    row: OperatorKeyRow,
    /// The key itself, shown this once; null where the request is repeated.
    key: Option<String>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/operator-keys", handle)
        .about("operators", "Issue an operator's key")
        .for_operators()
        .audited(Audited::Event("operator_key.create"))
        .body::<NewOperatorKey>()
        .answers::<MadeOperatorKey>(201)
}

async fn handle(State(api): State<Api>, call: OperatorCall, body: Json<NewOperatorKey>) -> Answer {
    write_as_operator(&api, call, body.hash, async |operator, _| {
        let IssuedOperatorKey { row, secret } = operator_keys::create(&api.app, operator, body.value).await?;
        let repeated = MadeOperatorKey { row: row.clone(), key: None };
        let remembered = Written::json(StatusCode::CREATED, &repeated)?.body;
        let made = MadeOperatorKey { row, key: Some(secret.expose().to_owned()) };
        Ok(Written::json(StatusCode::CREATED, &made)?.remembered_as(remembered))
    })
    .await
}
