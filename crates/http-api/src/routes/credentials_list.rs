//! `GET /v1/credentials`: the credentials, by service, without their values.

use crate::call::TenantCall;
use crate::query::{Paging, Query};
use crate::respond::{Answer, note_read, read};
use crate::{Api, Audited, Operation};
use app::vault::CredentialView;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;
use store::Page;

const READ: Action = Action::new("credential.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/credentials", handle)
        .about("secrets", "List the credentials with their kinds, hosts and status")
        .for_tenants::<Read<on::Credential>>()
        .audited(Audited::Aggregated("credential.read"))
        .paged()
        .answers::<Page<CredentialView>>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Query(paging): Query<Paging>) -> Answer {
    let page = paging.page()?;
    let noted = call.admission.clone();
    read(call, async |tenant| {
        let found = api.app.vault.list(&tenant, &page).await?;
        note_read(&api, &noted, &tenant, READ, "credential", "credentials");
        Ok(found)
    })
    .await
}
