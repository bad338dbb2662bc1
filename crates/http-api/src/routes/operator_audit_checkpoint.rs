//! `GET /v1/operator/audit/checkpoint`: a signed checkpoint over the operators' own log.

use crate::call::OperatorCall;
use crate::respond::{Answer, answer};
use crate::routes::audit_checkpoint::Checkpoint;
use crate::{Api, Audited, Operation};
use app::evidence;
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/operator/audit/checkpoint", handle)
        .about("operators", "A signed checkpoint over the operators' own log")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers::<Checkpoint>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall) -> Answer {
    let (size, checkpoint) = evidence::checkpoint(&api.app, &call.operator).await?;
    answer(&Checkpoint { checkpoint, size })
}
