//! [`ProviderError`]: a provider's error answer, cleaned.
//!
//! Providers put keys, account names and addresses into their messages. A message is kept only if it is
//! short text without them; it is for the caller when the fault is the caller's own.

use crate::KeyOwner;
use secret::SecretText;
use serde_json::Value;
use std::fmt;

/// The longest message that is kept, in characters.
const MAX_MESSAGE: usize = 400;
/// The longest name of a parameter or code that is kept.
const MAX_NAME: usize = 80;
/// The longest that a provider can make callers wait, in seconds.
const MAX_RETRY_AFTER: u64 = 3600;

/// A provider's error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderError {
    /// The HTTP status.
    pub status: u16,
    /// Its message, cleaned; `None` where there is none in the dialect's form, or none that is fit to show.
    pub message: Option<String>,
    /// The request's member that it blames.
    pub param: Option<String>,
    /// Its own code.
    pub code: Option<String>,
    /// After how many seconds it wants to be asked again.
    pub retry_after: Option<u64>,
    /// Whose key the call travelled on.
    pub key_owner: KeyOwner,
}

impl ProviderError {
    /// Reads an error answer's `Retry-After` header and body. `key` is what must not be in any of it.
    pub fn read(
        status: u16,
        retry_after: Option<&str>,
        body: &[u8],
        key: Option<&SecretText>,
        key_owner: KeyOwner,
    ) -> Self {
        let body = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
        // FastAPI servers such as vLLM answer some errors with the members at the top.
        let error = body.get("error").unwrap_or(&body);
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let message = text("message").or_else(|| error.as_str());
        Self {
            status,
            message: message.and_then(|message| cleaned(message, key)),
            param: text("param").and_then(name),
            code: text("code").and_then(name),
            retry_after: retry_after
                .and_then(|text| text.trim().parse().ok())
                .map(|it: u64| it.min(MAX_RETRY_AFTER)),
            key_owner,
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "status {}", self.status)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(out, ", code {code}"))
    }
}

fn name(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte);
    let fits = !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(plain);
    (fits && !tells_secrets(text)).then(|| text.to_owned())
}

fn cleaned(message: &str, key: Option<&SecretText>) -> Option<String> {
    // Part of a key is as bad as all of it: providers echo its ends.
    let echoes_key = key.is_some_and(|key| {
        let (key, mut start) = (key.expose(), String::new());
        start.extend(key.chars().take(8));
        !start.is_empty() && message.contains(&start)
    });
    if echoes_key {
        return None;
    }
    let words =
        message.split(|it: char| it.is_whitespace() || it.is_control()).filter(|word| !word.is_empty());
    let kept: Vec<&str> = words.map(|word| if tells_secrets(word) { "…" } else { word }).collect();
    let text: String = kept.join(" ").chars().take(MAX_MESSAGE).collect();
    (!text.is_empty()).then_some(text)
}

/// Addresses, paths, keys, account names, and long words that may be any of them.
fn tells_secrets(word: &str) -> bool {
    let bare = word.trim_matches(|it: char| it.is_ascii_punctuation());
    let of_an_account =
        ["sk-", "sk_", "org-", "proj_", "req_", "Bearer"].iter().any(|start| bare.starts_with(start));
    let is_path = word.trim_matches(['\'', '"', '`', '(']).starts_with('/') && bare.contains('/');
    of_an_account || is_path || word.contains("://") || word.contains('@') || bare.len() > 64
}

#[cfg(test)]
mod tests {
    use super::ProviderError;
    use crate::KeyOwner;
    use proptest::prelude::*;
    use secret::SecretText;

    fn read(body: &str) -> ProviderError {
        let key = SecretText::new("sk-live-0123456789".into());
        ProviderError::read(400, Some("7"), body.as_bytes(), Some(&key), KeyOwner::Operator)
    }

    #[test]
    fn a_plain_message_passes() {
        let error =
            read(r#"{"error":{"message":"Unknown parameter: 'x'.","param":"x","code":"unknown_parameter"}}"#);
        assert_eq!(error.message.as_deref(), Some("Unknown parameter: 'x'."));
        assert_eq!((error.param.as_deref(), error.code.as_deref()), (Some("x"), Some("unknown_parameter")));
        assert_eq!(error.retry_after, Some(7));
        assert_eq!(read(r#"{"object":"error","message":"bad"}"#).message.as_deref(), Some("bad"));
        assert_eq!(read(r#"{"error":"bad"}"#).message.as_deref(), Some("bad"));
    }

    #[test]
    fn keys_accounts_and_addresses_do_not() {
        let error = read(
            r#"{"error":{"message":"at https://internal:8000/v1 in org-Abc (mail a@b.c), see '/srv/x.py'\u0000!"}}"#,
        );
        assert_eq!(error.message.as_deref(), Some("at … in … (mail … see … !"));
        assert_eq!(
            read(r#"{"error":{"message":"Incorrect API key provided: sk-live-********6789"}}"#).message,
            None
        );
        assert_eq!(read(r#"{"error":{"message":"x","param":"sk-live-0123456789"}}"#).param, None);
        assert_eq!(read("<html>502 nginx/1.2</html>").message, None);
    }

    #[test]
    fn messages_and_waits_are_bounded() {
        let long = "word ".repeat(1000);
        let error = read(&format!(r#"{{"error":{{"message":"{long}"}}}}"#));
        assert_eq!(error.message.unwrap().chars().count(), super::MAX_MESSAGE);
        let patient = ProviderError::read(429, Some("99999999"), b"", None, KeyOwner::Operator);
        assert_eq!(patient.retry_after, Some(3600));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_fall_over_or_tells_the_key(body: Vec<u8>, message in "\\PC{0,300}") {
            let key = SecretText::new("k3y-0123456789abcdef".into());
            let _ = ProviderError::read(400, None, &body, Some(&key), KeyOwner::Operator);
            let with_key = serde_json::json!({ "error": { "message": format!("{message}{}", key.expose()) } });
            let read = ProviderError::read(400, None, with_key.to_string().as_bytes(), Some(&key), KeyOwner::Operator);
            prop_assert!(!read.message.unwrap_or_default().contains("k3y-0123"));
        }
    }
}
