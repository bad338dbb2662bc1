//! A secret's stand-in is written into a text.

use secret::SecretText;

fn case(key: &SecretText) -> String {
    format!("{key:?}")
}

fn main() {}
