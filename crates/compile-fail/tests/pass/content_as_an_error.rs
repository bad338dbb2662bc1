//! A transformation fails with an error in earnest.

use context::Private;
use std::num::ParseIntError;

fn case(value: Private<'_, String>) {
    let _: Result<Private<'_, u8>, ParseIntError> = value.try_map(|text| text.parse());
}

fn main() {}
