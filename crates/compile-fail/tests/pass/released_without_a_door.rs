//! A value leaves by a door.

use context::{Private, Tenant, door};

fn case<'t>(tenant: &Tenant<'t>, value: Private<'t, String>) {
    let _ = door::export(tenant, Private::sent(tenant, ()));
    let _ = door::answer(tenant, value);
}

fn main() {}
