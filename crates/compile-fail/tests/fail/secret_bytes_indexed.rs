//! A secret's bytes are compared one by one.

use secret::SecretBytes;

fn case(key: &SecretBytes<32>, other: &SecretBytes<32>) -> bool {
    (0..32).all(|at| key[at] == other[at])
}

fn main() {}
