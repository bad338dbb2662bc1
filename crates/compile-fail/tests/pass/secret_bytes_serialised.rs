//! Secret bytes are exposed where a reader can find it.

use secret::SecretBytes;

fn case(key: &SecretBytes<32>) {
    let _ = serde_json::to_string(key.expose());
}

fn main() {}
