//! `GET /v1/operator-keys`: the operators' keys, without their secrets.

use crate::call::{OperatorCall, cut_page};
use crate::query::{Paging, Query, place};
use crate::respond::{Answer, answer};
use crate::{Api, Audited, Operation};
use app::operator_keys;
use axum::extract::State;
use http::Method;
use ids::KeyId;
use store::{OperatorKeyRow, Page};

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/operator-keys", handle)
        .about("operators", "List the operators' keys, by id")
        .for_operators()
        .audited(Audited::OPERATOR_READ)
        .paged()
        .answers::<Page<OperatorKeyRow>>(200)
}

async fn handle(State(api): State<Api>, call: OperatorCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let after: Option<KeyId> = place(&page)?;
    let mut keys = operator_keys::list(&api.app, &call.operator).await?;
    keys.retain(|key| after.is_none_or(|after| key.id > after));
    answer(&cut_page(keys, page.limit, |last| last.id.to_string()))
}
