//! Tokens made to be misread: other algorithms, other keys, members that stand twice, and rubbish.

use crate::mint::{Minter, Minting, NOW, base64url, sign};
use crate::world::AUDIENCE;
use authz::Role;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use context::{Caller, CredentialKind, IndexedSubject, Refusal, SigningAlgorithm};
use futures::executor::block_on;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use serde_json::{Value, json};

fn minting() -> Minting {
    Minting::new(Minter::ed25519(1), Role::Owner)
}

async fn refused(minting: &Minting, token: &str) {
    assert_eq!(minting.world.refusal(token, None).await, Refusal::Unauthorized, "{token}");
    assert_eq!(minting.world.failures().pop().unwrap().1, None);
}

fn header(minting: &Minting, alg: &str) -> String {
    json!({"alg": alg, "typ": "JWT", "kid": minting.kid}).to_string()
}

fn claims(minting: &Minting) -> String {
    Value::Object(minting.claims()).to_string()
}

#[tokio::test(start_paused = true)]
async fn the_token_does_not_choose_the_algorithm() {
    for minting in [minting(), Minting::new(Minter::rsa(2048), Role::Owner)] {
        let claims = claims(&minting);
        let jwk: Value = serde_json::from_str(&minting.minter.public_jwk).unwrap();
        let member = jwk.get("x").or(jwk.get("n")).unwrap().as_str().unwrap();
        // What is public of the key, in every form in which a verifier could take it for a shared secret.
        let secrets = [
            EncodingKey::from_secret(minting.minter.public_jwk.as_bytes()),
            EncodingKey::from_secret(member.as_bytes()),
            EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(member).unwrap()),
            EncodingKey::from_secret(b""),
        ];
        for secret in &secrets {
            refused(&minting, &sign(&header(&minting, "HS256"), &claims, secret, Algorithm::HS256)).await;
        }
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let unsigned =
                format!("{}.{}.", base64url(header(&minting, alg).as_bytes()), base64url(claims.as_bytes()));
            refused(&minting, &unsigned).await;
        }
        // The right key under another name, and another key under the right one.
        for alg in ["RS384", "PS256", "ES256", "HS256", "EdDSA", "RS256"] {
            if *alg != *serde_json::to_value(minting.minter.algorithm).unwrap().as_str().unwrap() {
                refused(&minting, &minting.minter.sign(&header(&minting, alg), &claims)).await;
            }
        }
        let stranger = Minter::ed25519(2);
        refused(&minting, &stranger.sign(&header(&minting, "EdDSA"), &claims)).await;
    }
}

#[tokio::test]
async fn an_rsa_token_on_an_ed25519_key_is_refused_and_the_other_way_round() {
    let ed = minting();
    let rsa = Minter::rsa(2048);
    refused(&ed, &rsa.sign(&header(&ed, "RS256"), &claims(&ed))).await;
    // A registered key whose algorithm and public key do not fit each other checks nothing.
    let kid = ed.world.signing_key(ed.tenant, SigningAlgorithm::EdDSA, &rsa.public_jwk, Role::Owner);
    refused(&ed, &rsa.sign(&json!({"alg": "RS256", "kid": kid}).to_string(), &claims(&ed))).await;
    let kid = ed.world.signing_key(ed.tenant, SigningAlgorithm::RS256, &ed.minter.public_jwk, Role::Owner);
    refused(&ed, &ed.minter.sign(&json!({"alg": "EdDSA", "kid": kid}).to_string(), &claims(&ed))).await;
}

#[tokio::test]
async fn another_tenants_key_speaks_for_that_tenant_alone() {
    let minting = minting();
    let (theirs, minter) = (minting.world.tenant(), Minter::ed25519(9));
    let kid = minting.world.signing_key(theirs, SigningAlgorithm::EdDSA, &minter.public_jwk, Role::Owner);
    let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
    // Signed by them, for us; signed by us, under their key's id.
    refused(&minting, &minter.sign(&header, &claims(&minting))).await;
    refused(&minting, &minting.minter.sign(&header, &claims(&minting))).await;
    let for_them =
        json!({"iss": theirs, "tenant": theirs, "aud": AUDIENCE, "sub": "eve", "exp": NOW + 60}).to_string();
    refused(&minting, &minting.minter.sign(&header, &for_them)).await;
    let entered = minting.world.admission(&minter.sign(&header, &for_them)).await;
    assert_eq!(entered.tenant_id(), theirs);
}

#[tokio::test(start_paused = true)]
async fn headers_that_lead_elsewhere_are_refused() {
    let minting = minting();
    let stranger = Minter::ed25519(2);
    let embedded: Value = serde_json::from_str(&stranger.public_jwk).unwrap();
    let with_key = json!({"alg": "EdDSA", "kid": minting.kid, "jwk": embedded}).to_string();
    refused(&minting, &stranger.sign(&with_key, &claims(&minting))).await;
    for header in [
        json!({"kid": null}),
        json!({"kid": ""}),
        json!({"kid": minting.kid.to_string().to_lowercase()}),
        json!({"kid": format!("{} ", minting.kid)}),
        json!({"kid": "../../etc/passwd"}),
        json!({"kid": "' OR 1=1 --"}),
        json!({"kid": [minting.kid]}),
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"typ": "dpop+jwt"}),
        json!({"typ": "secevent+jwt"}),
        json!({"alg": null}),
    ] {
        refused(&minting, &minting.token(header, json!({}))).await;
    }
    for header in [json!({"typ": null}), json!({"typ": "at+jwt"}), json!({"cty": "x", "own": 1})] {
        minting.world.admission(&minting.token(header, json!({}))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_stand_twice_are_refused() {
    let minting = minting();
    let good = claims(&minting);
    let twice = |text: &str, member: &str| format!("{{{member},{}", &text[1..]);
    let other = minting.world.tenant();
    for member in [
        format!(r#""tenant":"{other}""#),
        format!(r#""iss":"{other}""#),
        r#""aud":"https://elsewhere.example""#.into(),
        r#""sub":"root""#.into(),
        format!(r#""exp":{}"#, NOW + 1),
        format!(r#""iat":{NOW}"#),
    ] {
        refused(&minting, &minting.minter.sign(&header(&minting, "EdDSA"), &twice(&good, &member))).await;
    }
    let roles = format!(r#"{{"role":"viewer","role":"owner",{}"#, &good[1..]);
    refused(&minting, &minting.minter.sign(&header(&minting, "EdDSA"), &roles)).await;
    for member in [r#""alg":"HS256""#.to_owned(), format!(r#""kid":"{}""#, minting.kid)] {
        let header = twice(&header(&minting, "EdDSA"), &member);
        refused(&minting, &minting.minter.sign(&header, &good)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_is_refused() {
    let minting = minting();
    let good = minting.token(json!({}), json!({}));
    let mut parts = good.split('.');
    let (head, body, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    for text in [
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{signature} "),
        format!(" {good}"),
        format!("{head}.{}.{signature}", base64url(b"[]")),
        minting.minter.sign(&header(&minting, "EdDSA"), "[]"),
        minting.minter.sign("[]", &claims(&minting)),
        minting.token(json!({}), json!({"padding": "x".repeat(8192)})),
        minting.token(json!({"padding": "x".repeat(8192)}), json!({})),
    ] {
        refused(&minting, &text).await;
    }
    minting.world.admission(&good).await;
}

#[tokio::test]
async fn an_index_that_contradicts_the_token_lets_nobody_in() {
    let minting = minting();
    let (world, token) = (&minting.world, minting.token(json!({}), json!({})));
    let subject = |id| IndexedSubject::SigningKey {
        id,
        algorithm: SigningAlgorithm::EdDSA,
        public_jwk: minting.minter.public_jwk.clone(),
        role: Role::Owner,
    };
    for (subject, tenant) in [
        (subject(world.env.id()), Some(minting.tenant)),
        (subject(minting.kid), Some(world.tenant())),
        (subject(minting.kid), None),
    ] {
        world.index(CredentialKind::SigningKey, &minting.kid.to_string(), subject, tenant, None);
        refused(&minting, &token).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn one_changed_character_is_noticed(at in 0usize..500, to in "[0-9A-Za-z_.-]") {
        // Also the last one, which holds bits that mean nothing.
        let minting = minting();
        let good = minting.token(json!({}), json!({}));
        let mut text = good.clone();
        let at = at % text.len();
        prop_assume!(text[at..=at] != to);
        text.replace_range(at..=at, &to);
        prop_assert_eq!(block_on(minting.world.refusal(&text, None)), Refusal::Unauthorized);
    }

    #[test]
    fn no_header_and_claims_make_the_reader_fall_over(header in "\\PC{0,60}", claims in "\\PC{0,60}") {
        let minting = minting();
        let token = minting.minter.sign(&header, &claims);
        let came_in = matches!(block_on(minting.world.present(&token, None)), Ok(Caller::Tenant(_)));
        prop_assert!(!came_in);
    }
}
