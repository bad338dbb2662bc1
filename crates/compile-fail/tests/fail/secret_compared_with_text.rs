//! A secret is compared with a text, in variable time.

use secret::SecretText;

fn case(key: &SecretText, given: String) -> bool {
    *key == given
}

fn main() {}
