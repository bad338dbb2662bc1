//! `GET /schemas/workflow.json`: the JSON Schema of workflow definitions, for editors.

use crate::{Api, Audited, Operation};
use axum::Json;
use axum::extract::State;
use http::Method;
use serde_json::Value;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/schemas/workflow.json", handle)
        .about("work", "The JSON Schema of workflow definitions")
        .audited(Audited::Silent("the same public text for everyone"))
        .answers::<Value>(200)
}

async fn handle(State(_): State<Api>) -> Json<Value> {
    Json(workflow::definition::definition_schema().to_value())
}
