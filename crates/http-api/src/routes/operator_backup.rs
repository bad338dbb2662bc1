//! `POST /v1/operator/backup`: takes a backup of everything, and sends it as it is taken.

use crate::call::OperatorCall;
use crate::respond::Answer;
use crate::{Api, Audited, Operation, file};
use app::whole_backup::{self, MAX_MANIFEST_BYTES};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::IntoResponse as _;
use errors::Problem;
use http::Method;
use http::header::CONTENT_TYPE;

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/operator/backup", handle)
        .about("operators", "Take a backup of everything, without what an earlier one has")
        .for_operators()
        .never_repeated()
        .audited(Audited::Event("backup.create_all"))
        .body_file()
        .answers_with(200, "application/octet-stream")
}

async fn handle(State(api): State<Api>, call: OperatorCall, request: Request) -> Answer {
    call.operator.must_change()?;
    if call.conditions.idempotency.is_some() {
        let detail = "A backup is taken anew each time and kept nowhere. Leave `Idempotency-Key` out.";
        return Err(Problem::invalid(detail).into());
    }
    let last = api.app.scratch.place(&api.app.env).await?;
    file::receive(request, &last, MAX_MANIFEST_BYTES).await?;
    let pieces = whole_backup::back_up_all(&api.app, call.operator, last).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], Body::from_stream(pieces)).into_response())
}
