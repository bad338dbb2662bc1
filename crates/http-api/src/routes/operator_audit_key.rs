//! `GET /v1/operator/audit/key`: the key that verifies the operators' own log, as text.

use crate::call::OperatorCall;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::evidence;
use axum::extract::State;
use axum::response::IntoResponse as _;
use http::Method;
use http::header::CONTENT_TYPE;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/operator/audit/key", handle)
        .about("operators", "The key that verifies the operators' own log, as text (C2SP signed-note)")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers_with(200, "text/plain")
}

async fn handle(State(api): State<Api>, call: OperatorCall) -> Answer {
    let key = evidence::log_key(&api.app, &call.operator).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{key}\n")).into_response())
}
