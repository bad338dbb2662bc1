//! `GET /v1/records/{collection}`: records, filtered and in order.

use crate::call::{TenantCall, slug};
use crate::operation::Form;
use crate::query::{Paging, Path, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::records;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use errors::Problem;
use http::Method;
use serde::Deserialize;
use store::{Filter, Page, Record, RecordQuery, Sort};

const READ: Action = Action::new("record.read");

#[derive(Deserialize)]
struct Wanted {
    filter: Option<String>,
    sort: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/records/{collection}", handle)
        .about("data", "List the records of a collection")
        .for_tenants::<Read<on::Record>>()
        .audited(Audited::Aggregated("record.read"))
        .takes("filter", "what must hold of them, such as `email eq \"ada@example.com\" and score ge 5`")
        .takes_as(
            Form::Pattern(r"^-?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"),
            "sort",
            "the field of their order, with `-` before it for descending; by id where it is absent",
        )
        .paged()
        .answers::<Page<Record>>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path(collection): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let collection = slug(&collection)?;
    let page = wanted.paging.page()?;
    let wrong = |error: store::FilterError| Problem::invalid(error.to_string());
    let filter = Filter::parse(wanted.filter.as_deref().unwrap_or_default()).map_err(wrong)?;
    let sort = wanted.sort.as_deref().map(Sort::parse).transpose().map_err(wrong)?;
    let query = RecordQuery { collection, filter, sort, page };
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let records = records::list(&api.app, &tenant, &query).await?;
        note_read(&api, &noted, &tenant, READ, "record", query.collection.as_str());
        Ok(records)
    })
    .await
}
