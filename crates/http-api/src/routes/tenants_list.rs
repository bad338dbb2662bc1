//! `GET /v1/tenants`: the tenants, by id.

use crate::call::{OperatorCall, cut_page};
use crate::query::{Paging, Query, place};
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::tenants::{self, TenantView};
use axum::extract::State;
use http::Method;
use store::Page;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/tenants", handle)
        .about("tenants", "List the tenants, by id")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .paged()
        .answers::<Page<TenantView>>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let after = place(&page)?;
    let found = tenants::list(&api.app, &call.operator, after, page.limit + 1).await?;
    answer(&cut_page(found, page.limit, |last| last.id.to_string()))
}
