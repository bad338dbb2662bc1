//! A value is taken out past the doors.

use context::{Private, Tenant, door};

fn case<'t>(tenant: &Tenant<'t>, value: Private<'t, String>) {
    let _ = door::export(tenant, Private::sent(tenant, ()));
    let _ = value.open_for(tenant);
}

fn main() {}
