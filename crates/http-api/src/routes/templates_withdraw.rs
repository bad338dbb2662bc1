//! `DELETE /v1/templates/{name}`: takes a template away with all its versions.

use crate::call::{OperatorCall, named};
use crate::query::Path;
use crate::respond::{Answer, NO_BODY, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::templates;
use axum::extract::State;
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/templates/{name}", handle)
        .about("templates", "Take a template away with all its versions; workflows keep their definitions")
        .for_operators()
        .audited(Audited::Event("template.withdraw"))
        .answers_with(204, "")
}

async fn handle(State(api): State<Api>, call: OperatorCall, Path(name): Path<String>) -> Answer {
    let name = named(&name)?;
    write_as_operator(&api, call, NO_BODY, async |operator, _| {
        templates::withdraw(&api.app, operator, &name).await?;
        Ok(Written::empty())
    })
    .await
}
