//! Signatures of inbound webhooks, as pure functions over bytes: GitHub, Slack, Standard Webhooks.
//!
//! A refusal says what was wrong for the operator's log and the tenant's; an outsider is told only that
//! the delivery was refused.

mod content;
mod resolve;

pub use content::{challenge, input, plain_headers};
pub use resolve::{Hook, HookConfigError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use env::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use secret::SecretText;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::str::FromStr;
use std::time::Duration;
use zeroize::Zeroizing;

/// How far a signed time may be from ours where the definition does not say.
pub const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);
/// Signatures that one delivery may carry while a secret is being rotated.
const MAX_SIGNATURES: usize = 10;
const MAX_ID_BYTES: usize = 200;

/// How a delivery is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// `X-Hub-Signature-256`: HMAC-SHA256 of the body, in hex.
    /// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    Github,
    /// `X-Slack-Signature`: HMAC-SHA256 of `v0:time:body`, in hex.
    /// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
    Slack,
    /// Standard Webhooks: HMAC-SHA256 of `id.time.body`, in Base64.
    /// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
    Standard,
    /// No signature. Whoever knows the hook's address can start runs.
    None,
}

/// The text names no scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The scheme is github, slack, standard or none")]
pub struct ParseSchemeError;

impl FromStr for Scheme {
    type Err = ParseSchemeError;

    fn from_str(text: &str) -> Result<Self, ParseSchemeError> {
        match text {
            "github" => Ok(Self::Github),
            "slack" => Ok(Self::Slack),
            "standard" => Ok(Self::Standard),
            "none" => Ok(Self::None),
            _ => Err(ParseSchemeError),
        }
    }
}

/// A delivery whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What identifies it, so that it runs once: the scheme's own id, the configured header, or else what is
    /// signed. `None` where nothing tells a repeated delivery from another with the same body. Only `standard`
    /// signs its id; with the others a replayed body under another id is another delivery.
    pub id: Option<String>,
}

/// Why a delivery is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookRefusal {
    /// A header that the scheme needs is not there.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// A header that the scheme needs is not as the scheme says.
    #[error("the header {0} is malformed")]
    MalformedHeader(&'static str),
    /// No signature is right.
    #[error("the signature does not hold")]
    SignatureMismatch,
    /// The signed time is too far from ours: an old delivery replayed, or a wrong clock.
    #[error("the signed time is outside the tolerance")]
    OutsideTolerance,
    /// The scheme needs a secret and there is none, or an empty one.
    #[error("the scheme needs a secret and there is none")]
    NoSecret,
    /// The secret is not of the scheme's form.
    #[error("the secret is not of the scheme's form")]
    UnusableSecret,
}

/// A delivery as it arrived.
pub struct Received<'a> {
    /// Looks a header up by its name in lower case. Where it is repeated, the first counts.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body's bytes, as they came.
    pub body: &'a [u8],
}

/// Checks a delivery's signature and time, and finds its id. Signatures are compared in constant time.
pub fn verify(
    scheme: Scheme,
    secret: Option<&SecretText>,
    received: &Received<'_>,
    now: Timestamp,
    tolerance: Duration,
    delivery_id_header: Option<&str>,
) -> Result<Delivery, HookRefusal> {
    // What identifies the delivery by itself, and what does where nothing else is said.
    let (own_id, otherwise) = match scheme {
        Scheme::Github => {
            github(secret, received)?;
            let body = format!("sha256:{}", hex::encode(Sha256::digest(received.body)));
            ((received.header)("x-github-delivery").map(str::to_owned), Some(body))
        }
        Scheme::Slack => {
            // The same body signed at another time is another delivery.
            let signed = slack(secret, received, now, tolerance)?;
            (slack_event(received.body), Some(signed))
        }
        Scheme::Standard => (Some(standard(secret, received, now, tolerance)?.to_owned()), None),
        Scheme::None => (None, None),
    };
    let configured = || {
        let name = delivery_id_header?.to_ascii_lowercase();
        (received.header)(&name).map(str::to_owned)
    };
    let known = |id: &String| is_id(id);
    Ok(Delivery { id: own_id.filter(known).or_else(|| configured().filter(known)).or(otherwise) })
}

fn github(secret: Option<&SecretText>, received: &Received<'_>) -> Result<(), HookRefusal> {
    const SIGNATURE: &str = "x-hub-signature-256";
    let signature = header(received, SIGNATURE)?;
    let signature = signature.strip_prefix("sha256=").ok_or(HookRefusal::MalformedHeader(SIGNATURE))?;
    let signature = hex::decode(signature).map_err(|_| HookRefusal::MalformedHeader(SIGNATURE))?;
    signed(text_key(secret)?, &[received.body])?
        .verify_slice(&signature)
        .map_err(|_| HookRefusal::SignatureMismatch)
}

fn slack(
    secret: Option<&SecretText>,
    received: &Received<'_>,
    now: Timestamp,
    tolerance: Duration,
) -> Result<String, HookRefusal> {
    const SIGNATURE: &str = "x-slack-signature";
    let time = timely(received, "x-slack-request-timestamp", now, tolerance)?;
    let whole = header(received, SIGNATURE)?;
    let signature = whole.strip_prefix("v0=").ok_or(HookRefusal::MalformedHeader(SIGNATURE))?;
    let signature = hex::decode(signature).map_err(|_| HookRefusal::MalformedHeader(SIGNATURE))?;
    signed(text_key(secret)?, &[b"v0:", time.as_bytes(), b":", received.body])?
        .verify_slice(&signature)
        .map_err(|_| HookRefusal::SignatureMismatch)?;
    Ok(format!("{time}:{}", whole.to_ascii_lowercase()))
}

/// The id of an event, which stays the same when Slack delivers it again.
fn slack_event(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let id = body.get("event_id")?.as_str()?;
    Some(format!("event:{id}"))
}

fn standard<'a>(
    secret: Option<&SecretText>,
    received: &Received<'a>,
    now: Timestamp,
    tolerance: Duration,
) -> Result<&'a str, HookRefusal> {
    let id = header(received, "webhook-id")?;
    if !is_id(id) {
        return Err(HookRefusal::MalformedHeader("webhook-id"));
    }
    let time = timely(received, "webhook-timestamp", now, tolerance)?;
    let signatures = header(received, "webhook-signature")?;
    let secret = secret.ok_or(HookRefusal::NoSecret)?.expose();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret));
    let key = Zeroizing::new(key.map_err(|_| HookRefusal::UnusableSecret)?);
    let expected = signed(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", received.body])?;
    let mut holds = false;
    for signature in signatures.split(' ').take(MAX_SIGNATURES) {
        let Some(signature) = signature.strip_prefix("v1,") else { continue };
        let Ok(signature) = STANDARD.decode(signature) else { continue };
        holds |= expected.clone().verify_slice(&signature).is_ok();
    }
    if holds { Ok(id) } else { Err(HookRefusal::SignatureMismatch) }
}

/// The header of a signed time, if it is within `tolerance` of `now` on either side.
fn timely<'a>(
    received: &Received<'a>,
    name: &'static str,
    now: Timestamp,
    tolerance: Duration,
) -> Result<&'a str, HookRefusal> {
    let text = header(received, name)?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = text.parse::<i64>().ok().filter(|_| digits);
    let time = time.ok_or(HookRefusal::MalformedHeader(name))?;
    if now.seconds().abs_diff(time) > tolerance.as_secs() {
        return Err(HookRefusal::OutsideTolerance);
    }
    Ok(text)
}

fn header<'a>(received: &Received<'a>, name: &'static str) -> Result<&'a str, HookRefusal> {
    (received.header)(name).ok_or(HookRefusal::MissingHeader(name))
}

fn text_key(secret: Option<&SecretText>) -> Result<&[u8], HookRefusal> {
    Ok(secret.ok_or(HookRefusal::NoSecret)?.expose().as_bytes())
}

/// An empty key is refused: anyone could sign with it.
fn signed(key: &[u8], parts: &[&[u8]]) -> Result<Hmac<Sha256>, HookRefusal> {
    if key.is_empty() {
        return Err(HookRefusal::NoSecret);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| HookRefusal::UnusableSecret)?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac)
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
