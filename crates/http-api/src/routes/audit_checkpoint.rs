//! `GET /v1/audit/checkpoint`: a signed checkpoint over the whole log.

use crate::call::TenantCall;
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::audit_log;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use schemars::JsonSchema;
use serde::Serialize;

const READ: Action = Action::new("audit.read");

/// A signed checkpoint.
#[derive(Serialize, JsonSchema)]
struct Checkpoint {
    /// The signed note (C2SP tlog-checkpoint). Whoever keeps it can show later whether the log was changed.
    checkpoint: String,
    /// How many events it covers.
    size: u64,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/audit/checkpoint", handle)
        .about("audit", "A signed checkpoint over the whole log")
        .for_tenants::<Read<on::Audit>>()
        .audited(Audited::Aggregated("audit.read"))
        .answers::<Checkpoint>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall) -> Answer {
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = audit_log::checkpoint(&api.app, &tenant).await?;
        note_read(&api, &noted, &tenant, READ, "audit", "checkpoint");
        Ok(found.map(|(size, checkpoint)| Checkpoint { checkpoint, size }))
    })
    .await
}
