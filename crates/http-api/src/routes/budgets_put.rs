//! `PUT /v1/budgets/{scope}/{id}`: sets the budget of the tenant, a key, an agent or a workflow.

use crate::body::Json;
use crate::call::TenantCall;
use crate::query::Path;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::budgets::{self, BudgetInput, BudgetView};
use axum::extract::State;
use context::{Update, on};
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::PUT, "/v1/budgets/{scope}/{id}", handle)
        .about("account", "Set a budget; it holds for the next call")
        .for_tenants::<Update<on::Budget>>()
        .audited(Audited::Event("budget.put"))
        .body::<BudgetInput>()
        .answers::<BudgetView>(200)
}

async fn handle(
    State(api): State<Api>,
    call: TenantCall,
    Path((scope, id)): Path<(String, String)>,
    body: Json<BudgetInput>,
) -> Answer {
    write(&api, call, body.hash, async |tenant, claim, _| {
        let set = budgets::put(&api.app, &tenant, (&scope, &id), body.value, claim).await?;
        set.try_map(|set| Written::json(StatusCode::OK, &set))
    })
    .await
}
