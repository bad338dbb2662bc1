//! `GET /v1/records/{collection}/{id}`: one record.

use crate::call::{TenantCall, named, slug};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::records;
use audit::event::Action;
use axum::extract::{Path, State};
use context::{Read, on};
use http::Method;
use store::Record;

const READ: Action = Action::new("record.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/records/{collection}/{id}", handle)
        .about("data", "Read a record")
        .for_tenants::<Read<on::Record>>()
        .audited(Audited::Aggregated("record.read"))
        .answers::<Record>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path((collection, id)): Path<(String, String)>,
) -> Answer {
    let (collection, id) = (slug(&collection)?, named(&id)?);
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let record = records::get(&api.app, &tenant, &collection, id).await?;
        note_read(&api, &noted, &tenant, READ, "record", collection.as_str());
        Ok(record)
    })
    .await
}
