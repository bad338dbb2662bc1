//! `GET /v1/workflows/{id}/upgrade`: what another version of the template would change.

use crate::call::{TenantCall, named};
use crate::operation::Form;
use crate::query::{Path, Query, number};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::workflows::{self, UpgradePreview};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use errors::Problem;
use http::Method;
use serde::Deserialize;

const READ: Action = Action::new("workflow.read");

/// Which version is asked about.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default, deserialize_with = "number")]
    version: Option<u32>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/workflows/{id}/upgrade", handle)
        .about(
            "work",
            "What another version of the template would change, and whether the configuration fits",
        )
        .for_tenants::<Read<on::Workflow>>()
        .audited(Audited::Aggregated("workflow.read"))
        .takes_as(
            Form::Number(1, u32::MAX as u64),
            "version",
            "the version of the template that is asked about",
        )
        .answers::<UpgradePreview>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let id = named(&id)?;
    let version = asked.version.ok_or_else(|| Problem::invalid("Say which version: `?version=N`."))?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let preview = workflows::preview_upgrade(&api.app, &tenant, id, version).await?;
        note_read(&api, &noted, &tenant, READ, "workflow", "workflows");
        Ok(preview)
    })
    .await
}
