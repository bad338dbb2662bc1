//! A secret is serialised.

use secret::SecretText;

fn case(key: &SecretText) {
    let _ = serde_json::to_string(key);
}

fn main() {}
