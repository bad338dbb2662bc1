//! A tenant's brand is lengthened to another's.

use context::Tenant;

fn case<'long, 'short: 'long>(tenant: Tenant<'short>) -> Tenant<'long> {
    tenant
}

fn main() {}
