//! A value is used as if it were not private.

use context::Private;

fn case(value: &Private<'_, String>) {
    let _ = value.len();
}

fn main() {}
