//! `DELETE /v1/budgets/{scope}/{id}`: takes a budget away.

use crate::call::TenantCall;
use crate::operation::Form;
use crate::query::{Path, Query};
use crate::respond::{Answer, write_silently};
use crate::{Api, Audited, Operation};
use app::budgets;
use axum::extract::State;
use context::{Delete, on};
use http::Method;
use metering::budget::Per;
use serde::Deserialize;

#[derive(Deserialize)]
struct Which {
    per: Option<Per>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::DELETE, "/v1/budgets/{scope}/{id}", handle)
        .about("account", "Take a budget away")
        .for_tenants::<Delete<on::Budget>>()
        .audited(Audited::Event("budget.delete"))
        .takes_as(Form::OneOf(&["day", "month"]), "per", "`day` or `month`; both where absent")
        .answers_with(204, "")
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path((scope, id)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Answer {
    write_silently(&api, call, async |tenant, claim, _| {
        budgets::delete(&api.app, &tenant, (&scope, &id), which.per, claim).await
    })
    .await
}
