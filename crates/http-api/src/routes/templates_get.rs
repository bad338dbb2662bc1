//! `GET /v1/templates/{name}/versions/{n}`: one version of a template, with its definition.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::templates::{self, TemplateContent};
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/templates/{name}/versions/{n}", handle)
        .about("templates", "Read one version of a template")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .answers::<TemplateContent>(200)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path((name, version)): Path<(String, String)>,
) -> Answer {
    answer(&templates::get(&api.app, &call.operator, &named(&name)?, named(&version)?).await?)
}
