//! `GET /v1/audit/export`: the whole log, to be verified without us.

use crate::call::TenantCall;
use crate::operation::Form;
use crate::query::Query;
use crate::respond::Answer;
use crate::{Api, Audited, Operation};
use app::audit_log::{self, ExportBeginning};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::IntoResponse as _;
use context::{Admission, Read, on};
use errors::Problem;
use futures::stream;
use http::{Method, header};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Wanted {
    format: Option<String>,
}

const JSON_LINES: &str = "application/jsonl";

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/audit/export", handle)
        .about("audit", "Take the whole log away: a leaf a line, the last line the checkpoint over them")
        .for_tenants::<Read<on::Audit>>()
        .audited(Audited::Event("audit.export"))
        .takes_as(
            Form::OneOf(&["jsonl"]),
            "format",
            "`jsonl`, which is what comes where it is absent; `csv`, `ocsf` and `cef` come later",
        )
        .answers_with(200, JSON_LINES)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(wanted): Query<Wanted>) -> Answer {
    match wanted.format.as_deref() {
        None | Some("jsonl") => {}
        Some(later @ ("csv" | "ocsf" | "cef")) => {
            let detail = format!("The format `{later}` comes with a later version. Ask for `jsonl`.");
            return Err(Problem::invalid(detail).into());
        }
        Some(_) => return Err(Problem::invalid("`format` is `jsonl`.").into()),
    }
    let admission = call.admission;
    let beginning = audit_log::begin_export(&api.app, &admission).await?;
    let body = Body::from_stream(stream::try_unfold(
        Export { api, admission, beginning, next: Some(0) },
        async |export| export.step().await,
    ));
    Ok(([(header::CONTENT_TYPE, JSON_LINES)], body).into_response())
}

/// An export under way: where it goes on, or that it has ended.
struct Export {
    api: Api,
    admission: Admission,
    beginning: ExportBeginning,
    next: Option<u64>,
}

impl Export {
    /// The next page of lines; after the last leaf the checkpoint. An error ends the connection, so that a
    /// part of a log is not taken for the whole.
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, Problem> {
        let Some(from) = self.next else { return Ok(None) };
        let size = self.beginning.size;
        if from >= size {
            self.next = None;
            let line = format!("{}\n", json!({"checkpoint": self.beginning.checkpoint}));
            return Ok(Some((line.into(), self)));
        }
        let leaves = audit_log::export_page(&self.api.app, &self.admission, from, size).await?;
        if leaves.is_empty() {
            tracing::error!(tenant.id = %self.admission.tenant_id(), from, size, "leaves of a log are missing");
            return Err(Problem::internal());
        }
        self.next = Some(from + leaves.len() as u64);
        let mut lines = Vec::with_capacity(leaves.iter().map(|leaf| leaf.len() + 1).sum());
        for leaf in leaves {
            lines.extend_from_slice(&leaf);
            lines.push(b'\n');
        }
        Ok(Some((lines.into(), self)))
    }
}
