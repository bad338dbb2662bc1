//! `POST /v1/tenants`: makes a tenant with its first key.

use crate::body::Json;
use crate::call::MakerCall;
use crate::respond::{Answer, Written, write_as_operator};
use crate::{Api, Audited, Operation};
use app::tenants::{self, Made, NewTenantInput, TenantView};
use app::verify_grants;
use axum::extract::State;
use http::{Method, StatusCode};
use ids::KeyId;
use schemars::JsonSchema;
use serde::Serialize;

/// A tenant that was just made.
#[derive(Serialize, JsonSchema)]
struct MadeTenant {
    #[serde(flatten)]
    tenant: TenantView,
    /// Its first key, with the role `owner`.
    api_key: FirstKey,
}

/// A key, shown once.
#[derive(Serialize, JsonSchema)]
struct FirstKey {
    /// Its id.
    id: KeyId,
    /// The key itself; null where the request is repeated.
    key: Option<String>,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::POST, "/v1/tenants", handle)
        .about("tenants", "Make a tenant with its first key")
        .for_operators()
        .and_for_grants()
        .audited(Audited::Event("tenant.create"))
        .body::<NewTenantInput>()
        .answers::<MadeTenant>(201)
}

async fn handle(State(api): State<Api>, made_by: MakerCall, body: Json<NewTenantInput>) -> Answer {
    let MakerCall { call, grant } = made_by;
    write_as_operator(&api, call, body.hash, async |operator, _| {
        let made = match &grant {
            Some(grant) => verify_grants::make(&api.app, grant, body.value).await?,
            None => tenants::create(&api.app, operator, body.value).await?,
        };
        let Made { tenant, key, secret } = made;
        let version = tenant.version;
        let repeated = MadeTenant { tenant: tenant.clone(), api_key: FirstKey { id: key, key: None } };
        let remembered = Written::json(StatusCode::CREATED, &repeated)?.body;
        let api_key = FirstKey { id: key, key: Some(secret.expose().to_owned()) };
        let written = Written::json(StatusCode::CREATED, &MadeTenant { tenant, api_key })?;
        Ok(written.tagged(version).remembered_as(remembered))
    })
    .await
}
