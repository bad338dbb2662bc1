//! A value's origin is vouched for, in a call that is listed.

use context::{Origin, Private, Tenant};
use ids::TenantId;

fn case<'t>(tenant: &Tenant<'t>, proven: TenantId) -> Private<'t, u8> {
    Private::arrived(tenant, Origin::authenticated(proven), 1)
}

fn main() {}
