//! Signatures: examples that the schemes publish, and what each must refuse.

use super::{Delivery, HookConfigError, HookRefusal, Received, Scheme, verify};
use crate::definition::validate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use env::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use secret::SecretText;
use serde_json::json;
use sha2::Sha256;
use std::time::Duration;

const NOW: i64 = 1_700_000_000;

fn check(
    scheme: Scheme,
    secret: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    now: i64,
) -> Result<Option<String>, HookRefusal> {
    let header = |name: &str| headers.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let secret = SecretText::new(secret.to_owned());
    let received = Received { header: &header, body };
    let now = Timestamp::from_millis(now * 1_000);
    verify(scheme, Some(&secret), &received, now, Duration::from_secs(300), Some("X-Event"))
        .map(|Delivery { id }| id)
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The example of GitHub's documentation.
#[test]
fn githubs_published_example_holds() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let secret = "It's a Secret to Everybody";
    let headers = [("x-hub-signature-256", signature), ("x-github-delivery", "72d3162e-cc78-11e3")];
    assert_eq!(
        check(Scheme::Github, secret, &headers, b"Hello, World!", NOW).unwrap().unwrap(),
        "72d3162e-cc78-11e3"
    );
    let refused = |secret: &str, headers: &[(&str, &str)], body: &[u8]| {
        check(Scheme::Github, secret, headers, body, NOW).unwrap_err()
    };
    assert_eq!(refused(secret, &headers, b"Hello, World?"), HookRefusal::SignatureMismatch);
    assert_eq!(refused("another", &headers, b"Hello, World!"), HookRefusal::SignatureMismatch);
    assert_eq!(refused("", &headers, b"Hello, World!"), HookRefusal::NoSecret);
    assert_eq!(refused(secret, &[], b""), HookRefusal::MissingHeader("x-hub-signature-256"));
    for malformed in ["sha1=00", "sha256=xyz", ""] {
        let refusal = refused(secret, &[("x-hub-signature-256", malformed)], b"");
        assert_eq!(refusal, HookRefusal::MalformedHeader("x-hub-signature-256"));
    }
    let short = refused(secret, &[("x-hub-signature-256", &signature[..20])], b"Hello, World!");
    assert_ne!(short, HookRefusal::NoSecret);
}

/// The example of Slack's documentation.
#[test]
fn slacks_published_example_holds() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        ("x-slack-request-timestamp", "1531420618"),
        ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        ("x-event", "Ev1"),
    ];
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let at = |now: i64| check(Scheme::Slack, secret, &headers, body.as_bytes(), now);
    assert_eq!(at(1_531_420_618).unwrap().unwrap(), "Ev1");
    assert!(at(1_531_420_618 + 300).is_ok() && at(1_531_420_618 - 300).is_ok());
    assert_eq!(at(1_531_420_618 + 301), Err(HookRefusal::OutsideTolerance));
    assert_eq!(at(1_531_420_618 - 301), Err(HookRefusal::OutsideTolerance));
}

/// The example of the Standard Webhooks specification.
#[test]
fn the_standards_published_example_holds() {
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = br#"{"test": 2432232314}"#;
    let at = |secret: &str, body: &[u8], now: i64| check(Scheme::Standard, secret, &headers, body, now);
    assert_eq!(at(secret, body, 1_614_265_330).unwrap().unwrap(), "msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_eq!(at(secret, b"{}", 1_614_265_330), Err(HookRefusal::SignatureMismatch));
    assert_eq!(at(secret, body, 1_614_265_631), Err(HookRefusal::OutsideTolerance));
    assert_eq!(at("whsec_", body, 1_614_265_330), Err(HookRefusal::NoSecret));
    assert_eq!(at("not base64!", body, 1_614_265_330), Err(HookRefusal::UnusableSecret));
}

#[test]
fn several_signatures_allow_rotation() {
    let secret = format!("whsec_{}", STANDARD.encode([7; 24]));
    let right = STANDARD.encode(sign(&[7; 24], "m1.1700000000.{}"));
    let list = format!("v1,{} v1a,{right} v1,{right}", STANDARD.encode([0; 32]));
    let headers = |signatures| {
        [("webhook-id", "m1"), ("webhook-timestamp", "1700000000"), ("webhook-signature", signatures)]
    };
    assert!(check(Scheme::Standard, &secret, &headers(&list), b"{}", NOW).is_ok());
    let only_other_version = format!("v1a,{right}");
    let refused = check(Scheme::Standard, &secret, &headers(&only_other_version), b"{}", NOW);
    assert_eq!(refused, Err(HookRefusal::SignatureMismatch));
}

#[test]
fn times_must_be_plain_numbers() {
    for time in ["", "+1700000000", "1.7e9", "-1", "99999999999999999999", "now"] {
        let headers = [("webhook-id", "m"), ("webhook-timestamp", time), ("webhook-signature", "v1,AA==")];
        let refused = check(Scheme::Standard, "AAAA", &headers, b"", NOW);
        assert_eq!(refused, Err(HookRefusal::MalformedHeader("webhook-timestamp")), "{time}");
    }
}

#[test]
fn without_a_scheme_only_a_header_identifies_the_delivery() {
    let id = |headers: &[(&str, &str)], body: &[u8]| check(Scheme::None, "", headers, body, NOW).unwrap();
    assert_eq!(id(&[("x-event", "e1")], b"x").unwrap(), "e1");
    assert_eq!(id(&[], b"x"), None);
    assert_eq!(id(&[("x-event", "with space")], b"x"), None);
}

/// A delivery as Slack signs it.
fn slack(time: i64, body: &str) -> Option<String> {
    let signature = format!("v0={}", hex::encode(sign(b"key", &format!("v0:{time}:{body}"))));
    let time = time.to_string();
    let headers = [("x-slack-request-timestamp", time.as_str()), ("x-slack-signature", signature.as_str())];
    check(Scheme::Slack, "key", &headers, body.as_bytes(), NOW).unwrap()
}

#[test]
fn the_same_body_signed_at_another_time_is_another_delivery() {
    let command = "command=%2Fdeploy&text=now";
    assert_eq!(slack(NOW, command), slack(NOW, command));
    assert_ne!(slack(NOW, command), slack(NOW + 1, command));
    // An event has an id of its own, which stays when it is delivered again.
    let event = r#"{"type":"event_callback","event_id":"Ev123"}"#;
    assert_eq!(slack(NOW, event), slack(NOW + 60, event));
    assert_eq!(slack(NOW, event).unwrap(), "event:Ev123");
}

#[test]
fn no_secret_is_no_entry() {
    let received = Received { header: &|_| Some("1700000000"), body: b"" };
    for scheme in [Scheme::Github, Scheme::Slack, Scheme::Standard] {
        let now = Timestamp::from_millis(NOW * 1_000);
        assert!(verify(scheme, None, &received, now, Duration::from_secs(300), None).is_err());
    }
}

#[test]
fn the_configuration_decides_only_what_the_definition_lets_it() {
    let definition = validate(crate::INBOUND_LEAD_TRIAGE).unwrap();
    let hook = definition.hook(&json!({})).unwrap().unwrap();
    assert_eq!((hook.scheme, hook.secret.unwrap().as_str()), (Scheme::Standard, "lead-webhook"));
    let open = definition.hook(&json!({"signature": "none"})).unwrap().unwrap();
    assert_eq!((open.scheme, open.secret), (Scheme::None, None));
    let refused = definition.hook(&json!({"signature": "anything"}));
    assert!(matches!(refused, Err(HookConfigError::Scheme(_))));
    let refused = definition.hook(&json!({"signature": null}));
    assert!(refused.is_err(), "an empty scheme is not `none`");
    let manual = "name: a\nnodes: [{id: s, type: source, kind: manual}]";
    assert_eq!(validate(manual).unwrap().hook(&json!({})), Ok(None));
}

proptest! {
    #[test]
    fn a_changed_byte_is_refused(body in prop::collection::vec(any::<u8>(), 1..100), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        mac.update(&body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let headers = [("x-hub-signature-256", signature.as_str())];
        prop_assert!(check(Scheme::Github, "key", &headers, &body, NOW).is_ok());
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= flip;
        prop_assert!(check(Scheme::Github, "key", &headers, &changed, NOW).is_err());
    }

    #[test]
    fn any_headers_are_taken_or_refused(value in "[ -~]{0,60}", body in "[ -~]{0,20}") {
        for scheme in [Scheme::Github, Scheme::Slack, Scheme::Standard] {
            let received = Received { header: &|_| Some(&value), body: body.as_bytes() };
            let secret = SecretText::new("AAAA".into());
            let now = Timestamp::from_millis(NOW * 1_000);
            prop_assert!(verify(scheme, Some(&secret), &received, now, Duration::from_secs(300), None).is_err());
        }
    }
}
