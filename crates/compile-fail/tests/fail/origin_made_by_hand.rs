//! A value's origin is written down.

use context::{Origin, Private, Tenant};
use ids::TenantId;

fn case<'t>(tenant: &Tenant<'t>, proven: TenantId) -> Private<'t, u8> {
    Private::arrived(tenant, Origin(proven), 1)
}

fn main() {}
