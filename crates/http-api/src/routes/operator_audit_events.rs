//! `GET /v1/operator/audit/events`: the operators' own log, newest first.

use crate::call::OperatorCall;
use crate::query::Query;
use crate::respond::{Answer, answer};
use crate::routes::audit_events::{AboutEvents as _, Wanted};
use crate::{Api, Audited, Operation};
use app::operator_log;
use audit::event::View;
use axum::extract::State;
use http::Method;
use store::Page;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/operator/audit/events", handle)
        .about("operators", "The operators' own audit log, newest first")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .takes_events()
        .answers::<Page<View>>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Query(wanted): Query<Wanted>) -> Answer {
    let (query, page) = wanted.read()?;
    let events = operator_log::events(&api.app, &call.operator, &query, &page).await?;
    answer(&events.map(|event| event.view))
}
