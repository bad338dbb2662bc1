//! A value that a door let out is serialised.

use context::{Private, Tenant, door};

fn case<'t>(tenant: &Tenant<'t>, value: Private<'t, String>) {
    let Ok(released) = door::answer(tenant, value) else { return };
    let _ = serde_json::to_string(&released);
}

fn main() {}
