//! `POST /v1/templates`: publishes a template's next version.

use crate::body::Json;
use crate::call::OperatorCall;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::templates::{self, NewTemplate, TemplateView};
use axum::extract::State;
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/templates", handle)
        .about("templates", "Publish a template's next version")
        .for_operators()
        .audited(Audited::Event("template.publish"))
        .body::<NewTemplate>()
        .answers::<TemplateView>(201)
}

async fn handle(State(api): State<Api>, call: OperatorCall, body: Json<NewTemplate>) -> Answer {
    write_as_operator(&api, call, body.hash, async |operator, _| {
        Written::json(StatusCode::CREATED, &templates::publish(&api.app, operator, body.value).await?)
    })
    .await
}
