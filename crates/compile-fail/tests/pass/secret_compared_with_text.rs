//! Secrets are compared, in constant time.

use secret::SecretText;

fn case(key: &SecretText, given: String) -> bool {
    *key == SecretText::new(given)
}

fn main() {}
