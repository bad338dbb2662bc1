//! A tenant's id is read from what a caller sent: it is a name, and opens nothing.

use context::Tenant;
use ids::TenantId;

fn case(_: &Tenant<'_>, _: TenantId, body: &str) {
    let _ = serde_json::from_str::<TenantId>(body);
}

fn main() {}
