//! An admission is read from what was stored.

use authz::SystemPrincipal;
use context::{Admission, Authenticator, RequestFacts};
use ids::TenantId;

async fn case(authenticator: &Authenticator, stored: &str, tenant: TenantId, request: RequestFacts) {
    let work = SystemPrincipal::RunRecovery;
    let _ = serde_json::from_str::<Admission>(stored);
    let _ = (authenticator, work, tenant, request);
}

fn main() {}
