//! `DELETE /v1/records/{collection}/{id}`: removes a record.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, write_silently};
use crate::{Api, Audited, Operation};
use app::records;
use axum::extract::State;
use context::{Delete, on};
use http::Method;
use ids::Slug;

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/records/{collection}/{id}", handle)
        .about("data", "Remove a record")
        .for_tenants::<Delete<on::Record>>()
        .audited(Audited::Event("record.delete"))
        .conditional()
        .answers_with(204, "")
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path((collection, id)): Path<(String, String)>,
) -> Answer {
    let (collection, id): (Slug, _) = (named(&collection)?, named(&id)?);
    write_silently(&api, call, async |tenant, claim, conditions| {
        records::delete(&api.app, &tenant, &collection, id, conditions.expected, claim).await
    })
    .await
}
