//! A tenant is read from what a caller sent.

use context::Tenant;
use ids::TenantId;

fn case(_: &Tenant<'_>, _: TenantId, body: &str) {
    let _ = serde_json::from_str::<Tenant<'_>>(body);
}

fn main() {}
