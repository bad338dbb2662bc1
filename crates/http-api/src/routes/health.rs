//! `GET /healthz` and `GET /readyz`: whether the server is up, and whether it takes work.

use crate::problem::Refused;
use crate::{Api, Audited, Operation};
use axum::extract::State;
use errors::{Code, Problem};
use http::Method;

const SILENT: Audited =
    Audited::Silent("asked by load balancers many times a minute, and tells nothing of a tenant");

pub(super) fn live() -> Operation {
    Operation::new(Method::GET, "/healthz", async || "ok\n")
        .about("server", "Whether the server is up")
        .audited(SILENT)
        .answers_with(200, "text/plain")
}

pub(super) fn ready() -> Operation {
    Operation::new(Method::GET, "/readyz", handle)
        .about("server", "Whether the server takes work")
        .audited(SILENT)
        .answers_with(200, "text/plain")
}

async fn handle(State(api): State<Api>) -> Result<&'static str, Refused> {
    if api.is_ready() {
        Ok("ready\n")
    } else {
        Err(Problem::new(Code::Unavailable, "The server is starting or draining.").retry_after(1).into())
    }
}
