//! Access is asked for.

use context::{Access, Read, Tenant, on};

fn case<'t>(tenant: &Tenant<'t>) -> Option<Access<'t, Read<on::Record>>> {
    tenant.authorize().ok()
}

fn main() {}
