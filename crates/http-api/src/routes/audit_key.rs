//! `GET /v1/audit/key`: the key that verifies the log, as text.

use crate::call::TenantCall;
use crate::respond::{Answer, note_read, read_text};
use crate::{Api, Audited, Operation};
use app::audit_log;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;

const READ: Action = Action::new("audit.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/audit/key", handle)
        .about("audit", "The key that verifies the log, as text (C2SP signed-note)")
        .for_tenants::<Read<on::Audit>>()
        .audited(Audited::Aggregated("audit.read"))
        .answers_with(200, "text/plain")
}

async fn handle(State(api): State<Api>, call: TenantCall) -> Answer {
    let noted = call.admission.clone();
    read_text(call, async |tenant| {
        let key = audit_log::verifier_key(&api.app, &tenant).await?;
        note_read(&api, &noted, &tenant, READ, "audit", "key");
        Ok(key.map(|key| format!("{key}\n")))
    })
    .await
}
