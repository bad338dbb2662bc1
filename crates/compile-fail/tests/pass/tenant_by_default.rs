//! A tenant is a copy of the visit's.

use context::Tenant;

fn case<'t>(tenant: &Tenant<'t>) -> Tenant<'t> {
    let _ = tenant.id();
    Tenant::clone(tenant)
}

fn main() {}
