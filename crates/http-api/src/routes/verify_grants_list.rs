//! `GET /v1/verify-grants`: the grants to run the attack suite, without their secrets.

use crate::call::{OperatorCall, cut_page};
use crate::query::{Paging, Query, place};
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::verify_grants::{self, VerifyGrantView};
use axum::extract::State;
use http::Method;
use ids::KeyId;
use store::Page;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/verify-grants", handle)
        .about("operators", "List the grants to run the attack suite, by id")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .paged()
        .answers::<Page<VerifyGrantView>>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let after: Option<KeyId> = place(&page)?;
    let mut grants = verify_grants::list(&api.app, &call.operator).await?;
    grants.retain(|grant| after.is_none_or(|after| grant.row.id > after));
    answer(&cut_page(grants, page.limit, |last| last.row.id.to_string()))
}
