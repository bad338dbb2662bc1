//! `GET /v1/templates`: the newest version of each template, by name.

use crate::call::{OperatorCall, cut_page};
use crate::query::{Paging, Query, place};
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::templates::{self, TemplateView};
use axum::extract::State;
use http::Method;
use store::Page;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/templates", handle)
        .about("templates", "List the newest version of each template, by name")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .paged()
        .answers::<Page<TemplateView>>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let after = place(&page)?;
    let found = templates::list(&api.app, &call.operator, after.as_ref(), page.limit + 1).await?;
    answer(&cut_page(found, page.limit, |last| last.name.to_string()))
}
