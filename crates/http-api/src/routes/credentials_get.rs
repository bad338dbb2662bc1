//! `GET /v1/credentials/{service}`: what there is to know of a credential, which is not its values.

use crate::call::{TenantCall, named};
use crate::query::Path;
use crate::respond::{Answer, note_read, read_versioned};
use crate::{Api, Audited, Operation};
use app::vault::CredentialView;
use audit::event::Action;
use axum::extract::State;
use context::{Read, on};
use http::Method;

const READ: Action = Action::new("credential.read");

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/credentials/{service}", handle)
        .about("secrets", "Read a credential's kind, hosts and status")
        .for_tenants::<Read<on::Credential>>()
        .audited(Audited::Aggregated("credential.read"))
        .answers::<CredentialView>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(service): Path<String>) -> Answer {
    let service = named(&service)?;
    let noted = call.admission.clone();
    read_versioned(call, async |tenant| {
        let found = api.app.vault.get(&tenant, &service).await?;
        note_read(&api, &noted, &tenant, READ, "credential", "credentials");
        Ok(found)
    })
    .await
}
