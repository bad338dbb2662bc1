//! A value is transformed inside its wrapper.

use context::Private;

fn case(value: Private<'_, String>) {
    let _ = value.map(|text| text.len());
}

fn main() {}
