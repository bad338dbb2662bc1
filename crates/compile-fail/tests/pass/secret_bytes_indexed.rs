//! Secrets are compared, in constant time.

use secret::SecretBytes;

fn case(key: &SecretBytes<32>, other: &SecretBytes<32>) -> bool {
    key == other
}

fn main() {}
