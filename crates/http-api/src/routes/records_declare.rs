//! `PUT /v1/records/{collection}`: declares which fields of a collection have an index.

use crate::body::Json;
use crate::call::{TenantCall, slug};
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::records::{self, Declaration};
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};
use store::CollectionSettings;

pub(super) fn operation() -> Operation {
    Operation::new(Method::PUT, "/v1/records/{collection}", handle)
        .about("data", "Declare which fields of a collection have an index")
        .for_tenants::<Update<on::Record>>()
        .audited(Audited::Event("collection.declare"))
        .body::<Declaration>()
        .answers::<CollectionSettings>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(collection): Path<String>,
    body: Json<Declaration>,
) -> Answer {
    let collection = slug(&collection)?;
    write(&api, call.answering(StatusCode::OK), body.hash, async |tenant, claim, _| {
        let settings = records::declare(&api.app, &tenant, &collection, body.value, claim).await?;
        settings.try_map(|settings| Written::json(StatusCode::OK, &settings))
    })
    .await
}
