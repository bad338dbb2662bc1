//! `POST /v1/operator/evidence`: has the operators' log vouch for a report of the attack suite.

use crate::body::Json;
use crate::call::OperatorCall;
use crate::operation::CallerKind;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::evidence::{self, Interface, NewEvidence};
use audit::evidence::{Vouched, interface_hash};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/operator/evidence", handle)
        .about("operators", "Have the operators' log vouch for a report of the attack suite")
        .for_operators()
        .audited(Audited::Event("evidence.sign"))
        .body::<NewEvidence>()
        .answers::<Vouched>(201)
}

async fn handle(State(api): State<Api>, call: OperatorCall, body: Json<NewEvidence>) -> Answer {
    let server = interface(&api);
    write_as_operator(&api, call, body.hash, async |operator, _| {
        let vouched = evidence::sign(&api.app, operator, &body.value, &server).await?;
        Written::json(StatusCode::CREATED, &vouched)
    })
    .await
}

/// What of the server a whole report tells of.
fn interface(api: &Api) -> Interface<'static> {
    let needs_key =
        |operation: &Operation| matches!(operation.caller, CallerKind::Tenant | CallerKind::Operator);
    let operations = super::operations().into_iter().filter(needs_key);
    Interface {
        version: env!("CARGO_PKG_VERSION"),
        description: interface_hash(api.document.as_bytes()),
        operations: operations.map(|it| format!("{} {}", it.method, it.path)).collect(),
    }
}
