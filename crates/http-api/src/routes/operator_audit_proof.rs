//! `GET /v1/operator/audit/proof`: that an event is in the operators' own log, or that an earlier state of it
//! is the beginning of this one.

use crate::call::OperatorCall;
use crate::query::Query;
use crate::respond::{Answer, answer};
use crate::routes::audit_proof::{Proof, Wanted};
use crate::{Api, Audited, Operation};
use app::evidence;
use axum::extract::State;
use errors::Problem;
use http::Method;

pub(super) fn operation() -> Operation {
    Wanted::taken_by(Operation::new(Method::GET, "/v1/operator/audit/proof", handle))
        .about(
            "operators",
            "Prove that an event is in the operators' own log, or that the log grew from a size",
        )
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers::<Proof>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Query(wanted): Query<Wanted>) -> Answer {
    match (wanted.index, wanted.size) {
        (Some(index), None) => {
            answer(&Proof::of_event(evidence::prove_event(&api.app, &call.operator, index).await?))
        }
        (None, Some(size)) => {
            let (hashes, checkpoint) = evidence::prove_growth(&api.app, &call.operator, size).await?;
            answer(&Proof::of_growth(size, &hashes, checkpoint))
        }
        _ => Err(Problem::invalid(Wanted::ONE_OF_THE_TWO).into()),
    }
}
