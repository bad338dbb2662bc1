//! `GET /v1/operator/audit/checkpoint`: a signed checkpoint over the operators' own log.

use crate::call::OperatorCall;
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::evidence;
use app::witnesses::{Published, Standing};
use axum::extract::State;
use http::Method;
use schemars::JsonSchema;
use serde::Serialize;

/// A signed checkpoint over the operators' own log, and what its witnesses say of it.
#[derive(Serialize, JsonSchema)]
struct OperatorCheckpoint {
    /// The signed note (C2SP tlog-checkpoint) over the present log.
    checkpoint: String,
    /// How many events it covers.
    size: u64,
    /// The last checkpoint that a witness cosigned, with the cosignatures.
    cosigned: Option<Published>,
    /// Where each configured witness stands, and what it refused.
    witnesses: Vec<Standing>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/operator/audit/checkpoint", handle)
        .about("operators", "A signed checkpoint over the operators' own log")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers::<OperatorCheckpoint>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall) -> Answer {
    let (size, checkpoint) = evidence::checkpoint(&api.app, &call.operator).await?;
    let witnesses = &api.app.witnesses;
    let (cosigned, standings) = (witnesses.published(), witnesses.standings());
    answer(&OperatorCheckpoint { checkpoint, size, cosigned, witnesses: standings })
}
