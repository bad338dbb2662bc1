//! A value is let out as the error of a transformation.

use context::Private;
use std::num::ParseIntError;

fn case(value: Private<'_, String>) {
    let _: Result<Private<'_, ParseIntError>, String> = value.try_map(|text| Err(text));
}

fn main() {}
