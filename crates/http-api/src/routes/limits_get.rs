//! `GET /v1/limits`: what the tenant may use, and where that stands.

use crate::call::TenantCall;
use crate::respond::{Answer, read};
use crate::{Api, Audited, Operation};
use app::limits::{self, LimitsView};
use axum::extract::State;
use context::{Read, on};
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/limits", handle)
        .about("account", "What the tenant may use, and where that stands")
        .for_tenants::<Read<on::Account>>()
        .audited(Audited::Silent("tells counts of the tenant's own calls, no content"))
        .answers::<LimitsView>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall) -> Answer {
    read(call, async |tenant| limits::limits(&api.app, &tenant).await).await
}
