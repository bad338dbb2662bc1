//! An admission is asked for by the name of the work.

use authz::SystemPrincipal;
use context::{Admission, Authenticator, RequestFacts};
use ids::TenantId;

async fn case(authenticator: &Authenticator, stored: &str, tenant: TenantId, request: RequestFacts) {
    let work = SystemPrincipal::RunRecovery;
    let _: Option<Admission> = authenticator.admit_system(work, tenant, None, request).await.ok();
    let _ = stored;
}

fn main() {}
