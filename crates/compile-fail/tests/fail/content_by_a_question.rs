//! A value is written down by the question that is asked about it.

use context::Private;

fn case(value: &Private<'_, String>) {
    let mut kept = Vec::new();
    let _ = value.is(|text| {
        kept.push(text.clone());
        true
    });
    kept.push(String::new());
}

fn main() {}
