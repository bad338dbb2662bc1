//! Secret bytes are serialised.

use secret::SecretBytes;

fn case(key: &SecretBytes<32>) {
    let _ = serde_json::to_string(key);
}

fn main() {}
