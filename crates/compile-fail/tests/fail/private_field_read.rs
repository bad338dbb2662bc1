//! A value is taken out of its wrapper.

use context::Private;

fn case(value: Private<'_, String>) {
    let _ = value.value.len();
}

fn main() {}
