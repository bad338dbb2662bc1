//! A tenant's brand stays what it is.

use context::Tenant;

fn case<'long, 'short: 'long>(tenant: Tenant<'short>) -> Tenant<'short> {
    tenant
}

fn main() {}
