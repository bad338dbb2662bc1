//! A secret is read from input as part of something that derives it.

use secret::SecretText;

fn case(body: &str) {
    let _ = serde_json::from_str::<SecretText>(body);
}

fn main() {}
