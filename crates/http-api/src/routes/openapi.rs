//! `GET /openapi.json`: the interface description.

use crate::{Api, Audited, Operation};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, header};

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/openapi.json", handle)
        .about("server", "The interface description, OpenAPI 3.1")
        .audited(Audited::Silent("the same public text for everyone"))
        .answers::<serde_json::Value>(200)
}

async fn handle(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.to_string()).into_response()
}
