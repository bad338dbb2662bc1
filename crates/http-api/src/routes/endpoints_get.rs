//! `GET /v1/endpoints/{name}`: an endpoint.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::endpoints::{self, EndpointView};
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/endpoints/{name}", handle)
        .about("endpoints", "Read an endpoint")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers::<EndpointView>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(name): Path<String>) -> Answer {
    answer(&endpoints::get(&api.app, &call.operator, &named(&name)?).await?)
}
