//! `POST /v1/tenants/{id}/restore`: puts a backup of the same tenant in the place of its store.

use crate::call::{OperatorCall, named};
use crate::operation::Form;
use crate::query::{Path, Query};
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation, file};
use app::lifecycle::{self, MAX_BACKUP_BYTES, Restored};
use axum::extract::{Request, State};
use http::{Method, StatusCode};
use serde::Deserialize;
use store::RestoreOptions;

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    allow_older: bool,
    #[serde(default)]
    accept_loss: bool,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants/{id}/restore", handle)
        .about("tenants", "Restore a tenant from a backup of its own")
        .for_operators()
        .audited(Audited::Event("tenant.restore"))
        .takes_as(Form::OneOf(&["true", "false"]), "allow_older", "`true` restores also what is older than the last restore")
        .takes_as(Form::OneOf(&["true", "false"]), 
            "accept_loss",
            "`true` restores also where the present store cannot be read, and loses what it has of audit events \
             and usage since the backup",
        )
        .body_file()
        .answers::<Restored>(200)
}

async fn handle(
    State(api): State<Api>,
    call: OperatorCall,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    request: Request,
) -> Answer {
    let id = named(&id)?;
    call.operator.must_change()?;
    let arrived = api.app.scratch.place(&api.app.env).await?;
    let hash = file::receive(request, &arrived, MAX_BACKUP_BYTES).await?;
    let options = RestoreOptions { allow_older: wanted.allow_older, accept_loss: wanted.accept_loss };
    write_as_operator(&api, call, hash, async |operator, _| {
        Written::json(StatusCode::OK, &lifecycle::restore(&api.app, operator, id, &arrived, options).await?)
    })
    .await
}
