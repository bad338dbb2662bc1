//! `GET /v1/me`: who the caller is.

use crate::call::TenantCall;
use crate::respond::{Answer, read};
use crate::{Audited, Operation};
use authz::Rights;
use context::Private;
use http::Method;
use ids::{Slug, TenantId};
use schemars::JsonSchema;
use serde::Serialize;

/// Who the caller is, and in which tenant.
#[derive(Serialize, JsonSchema)]
struct Me {
    /// The tenant.
    tenant: TenantId,
    /// The principal.
    principal: PrincipalView,
    /// Its role.
    role: Option<String>,
    /// What its key is narrowed to.
    scopes: Vec<String>,
    /// The tenant's plan.
    plan: Slug,
    /// Where the tenant's data rests.
    region: Slug,
}

/// A principal.
#[derive(Serialize, JsonSchema)]
struct PrincipalView {
    /// `user`, `agent` or `service_key`.
    kind: &'static str,
    /// Its id within the tenant.
    id: String,
}

pub(super) fn operation() -> Operation {
    Operation::new(Method::GET, "/v1/me", handle)
        .about("account", "Who the caller is")
        .for_any_principal()
        .audited(Audited::Silent("tells the caller only what its own credential stands for"))
        .answers::<Me>(200)
}

async fn handle(call: TenantCall) -> Answer {
    read(call, async |tenant| {
        let (role, scopes) = match tenant.rights() {
            Rights::Granted { role, scopes } => (Some(role.as_str().to_owned()), scopes.texts()),
            Rights::System(_) => (None, Vec::new()),
        };
        let principal =
            PrincipalView { kind: tenant.principal().kind.as_str(), id: tenant.principal().id.clone() };
        let standing = tenant.standing();
        let (plan, region) = (standing.plan.clone(), standing.region.clone());
        Ok(Private::sent(&tenant, Me { tenant: tenant.id(), principal, role, scopes, plan, region }))
    })
    .await
}
