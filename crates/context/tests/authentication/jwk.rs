//! Which public keys may be registered.

use crate::mint::{Minter, base64url};
use context::SigningAlgorithm::{self, EdDSA, RS256};
use proptest::prelude::*;
use serde_json::{Value, json};

fn with(jwk: &str, members: Value) -> String {
    let mut jwk: Value = serde_json::from_str(jwk).unwrap();
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk.to_string()
}

/// A number of so many bits, odd and with its highest bit set, as a JWK has it.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0x5a; bits / 8];
    bytes[0] |= 0x80;
    *bytes.last_mut().unwrap() |= 1;
    base64url(&bytes)
}

fn rsa(n: &str, e: &str) -> String {
    json!({"kty": "RSA", "n": n, "e": e}).to_string()
}

#[test]
fn public_keys_are_taken_with_what_usually_stands_beside_them() {
    let ed = Minter::ed25519(1).public_jwk;
    assert!(EdDSA.accepts(&ed) && !RS256.accepts(&ed));
    let beside = json!({"use": "sig", "key_ops": ["verify"], "alg": "EdDSA", "kid": "mine", "x5t": "y"});
    assert!(EdDSA.accepts(&with(&ed, beside)));
    for bits in [2048, 3072, 4096] {
        assert!(RS256.accepts(&rsa(&modulus(bits), "AQAB")), "{bits}");
        assert!(!EdDSA.accepts(&rsa(&modulus(bits), "AQAB")));
    }
}

#[test]
fn keys_for_something_else_are_refused() {
    let ed = Minter::ed25519(1).public_jwk;
    for members in [
        json!({"use": "enc"}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": []}),
        json!({"alg": "RS256"}),
        json!({"alg": "ECDH-ES"}),
        json!({"kty": "RSA"}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"crv": "X25519"}),
        json!({"crv": "Ed448"}),
        json!({"crv": null}),
        json!({"x": null}),
        json!({"x": "AAAA"}),
        json!({"x": "not base64!"}),
        json!({"padding": "x".repeat(8192)}),
    ] {
        assert!(!EdDSA.accepts(&with(&ed, members.clone())), "{members}");
    }
}

#[test]
fn keys_that_show_their_private_part_are_refused() {
    let (ed, rsa) = (Minter::ed25519(1).public_jwk, rsa(&modulus(2048), "AQAB"));
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for value in [json!("AAAA"), json!([]), json!(0)] {
            assert!(!EdDSA.accepts(&with(&ed, json!({member: value}))), "{member}");
            assert!(!RS256.accepts(&with(&rsa, json!({member: value}))), "{member}");
        }
    }
}

#[test]
fn ed25519_keys_under_which_one_signature_fits_all_are_refused() {
    // The points of small order: the identity, and one each of order 2, 4 and 8.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    let order_eight = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    for point in [identity, order_two, [0; 32], order_eight] {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&point)}).to_string();
        assert!(!EdDSA.accepts(&jwk), "{point:02x?}");
    }
}

#[test]
fn rsa_keys_that_are_weak_or_slow_are_refused() {
    for bits in [512, 1024, 2040, 4104, 8192, 65536] {
        assert!(!RS256.accepts(&rsa(&modulus(bits), "AQAB")), "{bits} bits");
    }
    let mut even = vec![0x80; 256];
    even[255] = 2;
    let mut padded = vec![0; 128];
    padded.extend([0x81; 128]);
    for bytes in [even, padded, vec![0; 256], vec![]] {
        assert!(!RS256.accepts(&rsa(&base64url(&bytes), "AQAB")));
    }
    for exponent in ["", "AQ", "Ag", "Aw", "AAEAAQ", "AQAC", "_____w"] {
        assert!(!RS256.accepts(&rsa(&modulus(2048), exponent)), "{exponent}");
    }
}

#[test]
fn members_that_stand_twice_are_refused() {
    let ed = Minter::ed25519(1).public_jwk;
    let other = Minter::ed25519(2).public_jwk;
    let x = serde_json::from_str::<Value>(&other).unwrap()["x"].to_string();
    assert!(!EdDSA.accepts(&format!(r#"{{"x":{x},{}"#, &ed[1..])));
    assert!(!EdDSA.accepts(&format!(r#"{{"crv":"X25519",{}"#, &ed[1..])));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fall_over(text in "\\PC{0,200}", n in "[A-Za-z0-9_-]{0,700}", e in "[A-Za-z0-9_-]{0,8}") {
        for algorithm in [SigningAlgorithm::EdDSA, SigningAlgorithm::RS256] {
            prop_assert!(!algorithm.accepts(&text));
            let _ = algorithm.accepts(&rsa(&n, &e));
            let _ = algorithm.accepts(&json!({"kty": "OKP", "crv": "Ed25519", "x": n}).to_string());
        }
    }
}
