//! A question is answered.

use context::Private;

fn case(value: &Private<'_, String>) {
    let mut kept = Vec::new();
    let _ = value.is(|text| {
        let kept = [text.clone()];
        kept.len() == 1
    });
    kept.push(String::new());
}

fn main() {}
