//! Token requests and answers.

use super::{Answer, MAX_LIFE, read, request};
use crate::vault::contents::{AuthStyle, Grant, OAuth2};
use egress::{AddressPolicy, Destination, EgressError};
use proptest::prelude::*;
use secret::SecretText;
use std::time::Duration;

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn oauth(grant: Grant, auth_style: AuthStyle) -> OAuth2 {
    OAuth2 {
        grant,
        token_url: String::new(),
        client_id: secret("my client"),
        client_secret: Some(secret("s:e&c=ret")),
        refresh_token: (grant == Grant::RefreshToken).then(|| secret("r+1")),
        scope: Some("read write".into()),
        auth_style,
        access: None,
        failed_at: None,
    }
}

fn body_of(oauth: &OAuth2) -> String {
    let endpoint = Destination::parse("https://token.example/t").unwrap();
    String::from_utf8(request(oauth, endpoint).unwrap().body).unwrap()
}

#[test]
fn the_client_shows_itself_in_the_body() {
    assert_eq!(
        body_of(&oauth(Grant::RefreshToken, AuthStyle::Body)),
        "grant_type=refresh_token&refresh_token=r%2B1&scope=read+write&client_id=my+client&client_secret=s%3Ae%26c%3Dret"
    );
    let public = OAuth2 { client_secret: None, ..oauth(Grant::RefreshToken, AuthStyle::Body) };
    assert!(body_of(&public).ends_with("&client_id=my+client"));
}

#[test]
fn the_client_shows_itself_in_the_header_to_the_endpoint_alone() {
    let client = oauth(Grant::ClientCredentials, AuthStyle::Basic);
    assert_eq!(body_of(&client), "grant_type=client_credentials&scope=read+write");
    let endpoint = Destination::parse("https://token.example/t").unwrap();
    let credential = request(&client, endpoint.clone()).unwrap().credential.unwrap();
    let (_, value) = credential.header_for(&endpoint, &AddressPolicy::default()).unwrap();
    // base64("my+client:s%3Ae%26c%3Dret")
    assert_eq!(value.to_str().unwrap(), "Basic bXkrY2xpZW50OnMlM0FlJTI2YyUzRHJldA==");
    for url in ["https://other.example/t", "https://token.example:8443/t"] {
        let elsewhere = credential.header_for(&Destination::parse(url).unwrap(), &AddressPolicy::default());
        assert!(matches!(elsewhere, Err(EgressError::HostNotInCredential)), "{url}");
    }
}

fn verdict(status: u16, body: &str) -> String {
    match read(status, body.as_bytes().to_vec()) {
        Answer::Tokens(tokens) => format!(
            "{} {:?} {:?}",
            tokens.access_token.expose(),
            tokens.life.map(|life| life.as_secs()),
            tokens.refresh_token.as_ref().map(SecretText::expose),
        ),
        Answer::Refused(code) => format!("refused {code}"),
        Answer::Failed => "failed".into(),
        Answer::Unreadable => "unreadable".into(),
    }
}

#[test]
fn answers_mean_what_the_standard_says() {
    let granted = |members: &str| format!(r#"{{"access_token":"a","token_type":"Bearer"{members}}}"#);
    for (status, body, expected) in [
        (200, granted(""), "a None None"),
        (200, granted(r#","expires_in":3600,"refresh_token":"r","other":{}"#), r#"a Some(3600) Some("r")"#),
        (200, granted(r#","expires_in":"3599","refresh_token":"""#), "a Some(3599) None"),
        (200, granted(r#","refresh_token":null,"expires_in":null"#), "a None None"),
        (200, granted(r#","expires_in":-1"#), "unreadable"),
        (200, granted(r#","expires_in":1.5"#), "unreadable"),
        (200, granted(r#","expires_in":"soon""#), "unreadable"),
        (200, granted(r#","access_token":"b""#), "unreadable"),
        (200, r#"{"access_token":"a","token_type":"mac"}"#.into(), "unreadable"),
        (200, r#"{"access_token":"a"}"#.into(), "unreadable"),
        (200, r#"{"access_token":"","token_type":"bearer"}"#.into(), "unreadable"),
        (200, r#"{"access_token":"a\r\nx: y","token_type":"bearer"}"#.into(), "unreadable"),
        (200, "access_token=a&token_type=bearer".into(), "unreadable"),
        (200, String::new(), "unreadable"),
        (204, String::new(), "unreadable"),
        (200, r#"{"error":"bad_refresh_token"}"#.into(), "refused bad_refresh_token"),
        (400, r#"{"error":"invalid_grant","error_description":"x"}"#.into(), "refused invalid_grant"),
        (401, r#"{"error":"invalid_client"}"#.into(), "refused invalid_client"),
        (400, r#"{"error":"something s3cret"}"#.into(), "refused other"),
        (400, "<html>".into(), "refused other"),
        (400, r#"{"error":"temporarily_unavailable"}"#.into(), "failed"),
        (403, r#"{"error":"invalid_grant"}"#.into(), "refused invalid_grant"),
        (429, r#"{"error":"invalid_request"}"#.into(), "failed"),
        (404, "<html>".into(), "failed"),
        (302, String::new(), "failed"),
        (500, r#"{"error":"invalid_grant"}"#.into(), "failed"),
        (503, String::new(), "failed"),
    ] {
        assert_eq!(verdict(status, &body), expected, "{status} {body}");
    }
    assert!(matches!(read(200, vec![0xff]), Answer::Unreadable));
}

#[test]
fn a_life_beyond_belief_is_cut() {
    let body = format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":{}}}"#, u64::MAX);
    let Answer::Tokens(tokens) = read(200, body.into_bytes()) else { panic!("it could not be read") };
    assert_eq!(tokens.life, Some(MAX_LIFE));
    assert!(MAX_LIFE > Duration::from_secs(1));
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(status in 100..600_u16, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(status, body);
    }

    #[test]
    fn whatever_token_is_taken_can_be_sent(token in "\\PC{0,20}") {
        let body = serde_json::json!({"access_token": token, "token_type": "bearer"}).to_string();
        if let Answer::Tokens(tokens) = read(200, body.into_bytes()) {
            prop_assert!(tokens.access_token.expose().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
