//! A private value is written into a text.

use context::Private;

fn case(value: &Private<'_, String>) -> String {
    format!("{value}")
}

fn main() {}
