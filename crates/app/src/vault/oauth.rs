//! The token endpoint: what is asked (RFC 6749, sections 4.4.2 and 6) and what is answered (sections 5.1
//! and 5.2). Pure.

use super::accept::is_visible;
use super::contents::{AuthStyle, OAuth2};
use super::header;
use egress::{AttachedCredential, Destination, Headers, Method, OutboundRequest};
use secret::SecretText;
use serde::Deserialize;
use std::time::Duration;
use url::form_urlencoded;

/// How long a token endpoint may take. Longer than other calls: to give up is to lose what it answers.
pub(super) const CALL_TIME: Duration = Duration::from_secs(60);
/// The longest answer, in bytes. A token with many claims has a few thousand.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// The longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The token request cannot be put together.
#[derive(Debug, thiserror::Error)]
#[error("the token request cannot be put together")]
pub(super) struct Unaskable;

/// The request for a new access token. The client's credentials are bound to the endpoint's host.
pub(super) fn request(oauth: &OAuth2, endpoint: Destination) -> Result<OutboundRequest, Unaskable> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", oauth.grant.as_str());
    if let Some(token) = &oauth.refresh_token {
        form.append_pair("refresh_token", token.expose());
    }
    if let Some(scope) = &oauth.scope {
        form.append_pair("scope", scope);
    }
    let mut credential = None;
    match (oauth.auth_style, &oauth.client_secret) {
        (AuthStyle::Basic, Some(secret)) => {
            let value = header::basic(&encoded(&oauth.client_id), &encoded(secret));
            let host = format!("{}:{}", endpoint.host(), endpoint.port()).parse().map_err(|_| Unaskable)?;
            let attached = AttachedCredential::new(vec![host], "authorization", value);
            credential = Some(attached.map_err(|_| Unaskable)?);
        }
        (_, secret) => {
            form.append_pair("client_id", oauth.client_id.expose());
            if let Some(secret) = secret {
                form.append_pair("client_secret", secret.expose());
            }
        }
    }
    let fields = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
    Ok(OutboundRequest {
        headers: Headers::parse(fields).map_err(|_| Unaskable)?,
        body: form.finish().into_bytes(),
        credential,
        timeout: CALL_TIME,
        max_response_bytes: MAX_ANSWER,
        ..OutboundRequest::new(Method::Post, endpoint)
    })
}

/// As the client's credentials stand in the header (RFC 6749, section 2.3.1).
fn encoded(secret: &SecretText) -> String {
    form_urlencoded::byte_serialize(secret.expose().as_bytes()).collect()
}

/// What a token endpoint answered.
pub(super) enum Answer {
    /// New tokens.
    Tokens(Tokens),
    /// It will not give any, with the error's code where it is a known one.
    Refused(&'static str),
    /// It could not for now, and changed nothing.
    Failed,
    /// It may have given tokens, which cannot be read.
    Unreadable,
}

/// The tokens of an answer.
pub(super) struct Tokens {
    pub(super) access_token: SecretText,
    /// How long the access token lives.
    pub(super) life: Option<Duration>,
    /// The token that takes the place of the one that was sent.
    pub(super) refresh_token: Option<SecretText>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Seconds>,
    #[serde(default)]
    refresh_token: Option<String>,
}

/// A number, or digits in quotes, which some widespread servers send.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Digits(String),
}

#[derive(Deserialize)]
struct Error {
    error: String,
}

/// Codes that tell that the same request will be refused again, of RFC 6749, section 5.2, and their kin.
const REFUSALS: [&str; 8] = [
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "access_denied",
    "bad_refresh_token",
];
/// Codes that tell that it may be taken later.
const PASSING: [&str; 3] = ["temporarily_unavailable", "server_error", "slow_down"];

/// Reads an answer. What an error says beside its code is never passed on: it may echo what was sent.
pub(super) fn read(status: u16, body: Vec<u8>) -> Answer {
    let Ok(body) = String::from_utf8(body).map(SecretText::new) else {
        return unread(status);
    };
    if let Ok(Error { error }) = serde_json::from_str(body.expose())
        && status < 500
    {
        if PASSING.contains(&error.as_str()) || status == 429 {
            return Answer::Failed;
        }
        let known = REFUSALS.into_iter().find(|code| *code == error);
        return known.map_or_else(|| unread(status), Answer::Refused);
    }
    if status != 200 {
        return unread(status);
    }
    tokens(body.expose()).map_or(Answer::Unreadable, Answer::Tokens)
}

/// What an answer means whose body says nothing.
fn unread(status: u16) -> Answer {
    match status {
        200..=299 => Answer::Unreadable,
        400 | 401 => Answer::Refused("other"),
        _ => Answer::Failed,
    }
}

fn tokens(body: &str) -> Option<Tokens> {
    let Granted { access_token, token_type, expires_in, refresh_token } = serde_json::from_str(body).ok()?;
    let (access_token, refresh_token) = (SecretText::new(access_token), refresh_token.map(SecretText::new));
    let life = match expires_in {
        None => None,
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Digits(digits)) => Some(digits.parse().ok()?),
    };
    let refresh_token = refresh_token.filter(|token| !token.expose().is_empty());
    let sound =
        |token: &SecretText| (1..=MAX_TOKEN).contains(&token.expose().len()) && is_visible(token.expose());
    let fits = token_type.eq_ignore_ascii_case("bearer")
        && sound(&access_token)
        && refresh_token.as_ref().is_none_or(sound)
        && AttachedCredential::new(Vec::new(), "authorization", header::bearer(&access_token)).is_ok();
    let life = life.map(|seconds| Duration::from_secs(seconds).min(MAX_LIFE));
    fits.then_some(Tokens { access_token, life, refresh_token })
}

#[cfg(test)]
#[path = "oauth_tests.rs"]
mod tests;
