//! `GET /v1/records/{collection}/{id}`: one record.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read, read_versioned};
use crate::{Api, Audited, Operation};
use app::records;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use ids::Slug;
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
    let (collection, id): (Slug, _) = (named(&collection)?, named(&id)?);
    let noted = call.admission.clone();
    read_versioned(call, async |tenant| {
        let record = records::get(&api.app, &tenant, &collection, id).await?;
        note_read(&api, &noted, &tenant, READ, "record", collection.as_str());
        Ok(record.map(|record| {
            let version = record.version;
            (record, version)
        }))
    })
    .await
}
