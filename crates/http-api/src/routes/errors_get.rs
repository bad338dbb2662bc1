//! `GET /errors/{code}`: the page about a code. It is where the `type` of every problem leads.

use crate::problem::Refused;
use crate::query::Path;
use crate::{Api, Audited, Operation};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use errors::{Code, Problem};
use http::{Method, header};

const MARKDOWN: &str = "text/markdown; charset=utf-8";

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/errors/{code}", handle)
        .about("server", "The page about an error's code")
        .audited(Audited::Silent("the same public text for everyone"))
        .answers_with(200, "text/markdown")
}

async fn handle(State(_): State<Api>, Path(code): Path<String>) -> Result<Response, Refused> {
    let code = Code::parse(&code).ok_or_else(Problem::not_found)?;
    Ok(([(header::CONTENT_TYPE, MARKDOWN)], code.page()).into_response())
}
