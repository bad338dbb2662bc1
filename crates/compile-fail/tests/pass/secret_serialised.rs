//! A secret is exposed where a reader can find it.

use secret::SecretText;

fn case(key: &SecretText) {
    let _ = serde_json::to_string(key.expose());
}

fn main() {}
