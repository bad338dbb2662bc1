//! A secret is taken over from a text.

use secret::SecretText;

fn case(body: &str) {
    let _ = serde_json::from_str::<String>(body).map(SecretText::new);
}

fn main() {}
