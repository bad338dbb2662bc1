//! `GET /v1/runs/{id}`: one run with its steps, and with what passed through them where the credential has
//! the scope `runs:content`.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::runs::{self, RunDetail};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;

const READ: Action = Action::new("run.read");
const READ_CONTENT: Action = Action::new("run.read_content");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/runs/{id}", handle)
        .about("work", "Read a run with its steps; with their content under the scope `runs:content`")
        .for_tenants::<Read<on::Run>>()
        .audited(Audited::Aggregated("run.read"))
        .answers::<RunDetail>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    let id = named(&id)?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = runs::get(&api.app, &tenant, id).await?;
        note_read(&api, &noted, &tenant, READ, "run", "runs");
        if runs::sees_content(&tenant) {
            note_read(&api, &noted, &tenant, READ_CONTENT, "run", "content");
        }
        Ok(found)
    })
    .await
}
