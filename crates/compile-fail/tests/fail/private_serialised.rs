//! A private value is serialised past the doors.

use context::{Private, Tenant, door};

fn case<'t>(tenant: &Tenant<'t>, value: Private<'t, String>) {
    let released = (tenant, door::answer::<String>);
    let _ = serde_json::to_string(&value).map(|_| drop(released));
}

fn main() {}
