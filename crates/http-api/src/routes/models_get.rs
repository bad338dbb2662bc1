//! `GET /v1/models/{id}`: one model that the tenant may call. A slash in its name is written `%2F`.

use crate::call::TenantCall;
use crate::query::Path;
use crate::respond::{Answer, read};
use crate::{Api, Audited, Operation};
use app::gateway::{self, ModelView};
use axum::extract::State;
use context::{Read, on};
use http::Method;

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/models/{id}", handle)
        .about("ai", "One model that the tenant may call")
        .for_tenants::<Read<on::Model>>()
        .audited(Audited::Silent("shows a name that the operator chose, no content of the tenant"))
        .answers::<ModelView>(200)
}

async fn handle(State(api): State<Api>, call: TenantCall, Path(id): Path<String>) -> Answer {
    read(call, async |tenant| gateway::model(&api.app, &tenant, &id).await).await
}
