//! `POST /v1/audit/erase-personal`: erases personal values from the tenant's audit log. Its events and every
//! proof stay.

use crate::body::Json;
use crate::call::TenantCall;
use crate::respond::{Answer, Written, write};
use crate::{Api, Audited, Operation};
use app::audit_log::{self, ErasePersonal, ErasedPersonal};
use axum::extract::State;
use context::{Delete, on};
use http::{Method, StatusCode};

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/audit/erase-personal", handle)
        .about(
            "audit",
            "Erase personal values of an event, an actor, or wherever they are; proofs still hold",
        )
        .for_tenants::<Delete<on::Audit>>()
        .audited(Audited::Event("audit.erase_personal"))
        .body::<ErasePersonal>()
        .answers::<ErasedPersonal>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, body: Json<ErasePersonal>) -> Answer {
    write(&api, call, body.hash, async |tenant, claim, _| {
        let erased = audit_log::erase_personal(&api.app, &tenant, body.value, claim).await?;
        erased.try_map(|erased| Written::json(StatusCode::OK, &erased))
    })
    .await
}
