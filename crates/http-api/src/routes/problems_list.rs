//! `GET /v1/problems`: what was given up, newest first.

use crate::call::TenantCall;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::problems::{self, GivenUp};
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::Page;

const READ: Action = Action::new("problem.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/problems", handle)
        .about("account", "Runs and steps that were given up, each with its last error")
        .for_tenants::<Read<on::Run>>()
        .audited(Audited::Aggregated("problem.read"))
        .paged()
        .answers::<Page<GivenUp>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = problems::list(&api.app, &tenant, &page).await?;
        note_read(&api, &noted, &tenant, READ, "problem", "problems");
        Ok(found)
    })
    .await
}
