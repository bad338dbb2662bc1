//! `GET /v1/plans/{name}`: a plan.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::plans::{self, PlanView};
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/plans/{name}", handle)
        .about("plans", "Read a plan")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers::<PlanView>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(name): Path<String>) -> Answer {
    answer(&plans::get(&api.app, &call.operator, &named(&name)?).await?)
}
