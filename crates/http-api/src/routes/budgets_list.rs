//! `GET /v1/budgets`: the tenant's budgets, with what is reserved and spent.

use crate::call::TenantCall;
use crate::respond::{Answer, read};
use crate::{Api, Audited, Operation};
use app::budgets::{self, BudgetView};
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::Page;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/budgets", handle)
        .about("account", "The tenant's budgets, with what is reserved and spent")
        .for_tenants::<Read<on::Budget>>()
        .audited(Audited::Silent("tells amounts of the tenant's own calls, no content"))
        .answers::<Page<BudgetView>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall) -> Answer {
    read(call, async |tenant| budgets::list(&api.app, &tenant).await).await
}
