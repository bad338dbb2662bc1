//! What is known of a private value is written into a text.

use context::Private;

fn case(value: &Private<'_, String>) -> String {
    format!("{}", value.is(String::is_empty))
}

fn main() {}
