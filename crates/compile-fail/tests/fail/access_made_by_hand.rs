//! Access is written down.

use context::{Access, Read, Tenant, on};

fn case<'t>(tenant: &Tenant<'t>) -> Option<Access<'t, Read<on::Record>>> {
    Some(Access { tenant: tenant.clone(), reach: authz::Reach::All, ..tenant.authorize().ok()? })
}

fn main() {}
