//! A question is asked about a private value.

use context::Private;

fn case(value: &Private<'_, String>) {
    let _ = value.is(|text| text.len() > 3);
}

fn main() {}
