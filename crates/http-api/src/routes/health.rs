//! `GET /healthz` and `GET /readyz`: whether the server is up, and whether it takes work.

use crate::problem::Refused;
use crate::{Api, Audited, Operation};
use axum::extract::State;
use errors::{Code, Problem};
use http::Method;
use std::time::Duration;

/// How long the store may take to show that it can serve.
const PROBE: Duration = Duration::from_secs(2);

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
    let not_ready = |why: &str| Refused(Problem::new(Code::Unavailable, why).retry_after(1));
    if !api.is_ready() {
        return Err(not_ready("The server is starting or draining."));
    }
    match tokio::time::timeout(PROBE, api.app.platform.probe()).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::error!(%error, "the store cannot serve");
            Err(not_ready("The store cannot serve."))
        }
        Err(_) => Err(not_ready("The store did not answer in time.")),
    }
}
