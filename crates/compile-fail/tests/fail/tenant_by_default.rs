//! A tenant is made out of nothing.

use context::Tenant;

fn case<'t>(tenant: &Tenant<'t>) -> Tenant<'t> {
    let _ = tenant.id();
    Tenant::default()
}

fn main() {}
