//! `POST /v1/verify-grants`: issues a grant to run the attack suite.

use crate::body::Json;
use crate::call::OperatorCall;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::verify_grants::{self, IssuedVerifyGrant, NewVerifyGrant};
use axum::extract::State;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use store::VerifyGrantRow;

/// A grant that was just made.
#[derive(Serialize, JsonSchema)]
struct MadeVerifyGrant {
    #[serde(flatten)]
    row: VerifyGrantRow,
    /// The grant itself, shown this once; null where the request is repeated.
    grant: Option<String>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/verify-grants", handle)
        .about("operators", "Issue a grant with which somebody else runs the attack suite")
        .for_operators()
        .audited(Audited::Event("verify_grant.create"))
        .body::<NewVerifyGrant>()
        .answers::<MadeVerifyGrant>(201)
}

async fn handle(State(api): State<Api>, call: OperatorCall, body: Json<NewVerifyGrant>) -> Answer {
    write_as_operator(&api, call, body.hash, async |operator, _| {
        let IssuedVerifyGrant { row, secret } = verify_grants::create(&api.app, operator, body.value).await?;
        let repeated = MadeVerifyGrant { row: row.clone(), grant: None };
        let remembered = Written::json(StatusCode::CREATED, &repeated)?.body;
        let made = MadeVerifyGrant { row, grant: Some(secret.expose().to_owned()) };
        Ok(Written::json(StatusCode::CREATED, &made)?.remembered_as(remembered))
    })
    .await
}
