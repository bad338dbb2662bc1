//! What a genuine delivery says: its body as data, its plain headers, and Slack's question whether anybody is
//! there.

use super::Scheme;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Bytes of all names and values of the headers that a run is given.
const MAX_HEADER_BYTES: usize = 8 * 1024;
/// Fields of a form that a run is given.
const MAX_FIELDS: usize = 1_000;
/// What a header's name says that is not for templates.
const NOT_PLAIN: [&str; 8] =
    ["authorization", "cookie", "signature", "token", "secret", "api-key", "apikey", "password"];

/// The delivery's headers by name in lower case, without those that carry credentials or signatures.
pub fn plain_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let mut left = MAX_HEADER_BYTES;
    let mut plain: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if NOT_PLAIN.iter().any(|part| name.contains(part)) {
            continue;
        }
        let Some(rest) = left.checked_sub(name.len() + value.len()) else { continue };
        left = rest;
        plain
            .entry(name)
            .and_modify(|all| *all = format!("{all}, {value}"))
            .or_insert_with(|| value.to_owned());
    }
    plain
}

/// The body as data: JSON, the fields of a form, or text. A form whose only field is `payload` stands for the
/// JSON in it, as Slack and GitHub send it.
pub fn input(content_type: Option<&str>, body: &[u8]) -> Value {
    if is_form(content_type) {
        return form(body);
    }
    json(body).unwrap_or_else(|| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// What Slack wants to be told back when an address is entered there.
/// <https://docs.slack.dev/reference/events/url_verification>
pub fn challenge(scheme: Scheme, input: &Value) -> Option<&str> {
    let asks = scheme == Scheme::Slack && input.get("type")?.as_str()? == "url_verification";
    asks.then(|| input.get("challenge")?.as_str()).flatten()
}

fn is_form(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|text| text.split(';').next());
    essence.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

fn form(body: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(body).take(MAX_FIELDS) {
        let value = Value::String(value.into_owned());
        match fields.get_mut(name.as_ref()) {
            None => {
                fields.insert(name.into_owned(), value);
            }
            Some(Value::Array(all)) => all.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    let payload = fields.get("payload").and_then(Value::as_str).filter(|_| fields.len() == 1);
    payload.and_then(|text| json(text.as_bytes())).unwrap_or(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::{challenge, input, plain_headers};
    use crate::hook::Scheme;
    use serde_json::json;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");

    #[test]
    fn a_body_is_json_a_form_or_text() {
        assert_eq!(input(None, b"{\"a\":1}"), json!({"a": 1}));
        assert_eq!(input(Some("text/plain"), b"plain"), json!("plain"));
        let command = input(FORM, b"command=%2Fweather&text=Berlin+now&tag=a&tag=b&empty=");
        let expected = json!({"command": "/weather", "text": "Berlin now", "tag": ["a", "b"], "empty": ""});
        assert_eq!(command, expected);
        assert_eq!(
            input(FORM, b"payload=%7B%22type%22%3A%22block_actions%22%7D"),
            json!({"type": "block_actions"})
        );
        assert_eq!(input(FORM, b"payload=%7B&x=1"), json!({"payload": "{", "x": "1"}));
    }

    #[test]
    fn credentials_and_signatures_are_no_plain_headers() {
        let headers = [
            ("X-GitHub-Event", "issues"),
            ("X-Hub-Signature-256", "sha256=00"),
            ("Webhook-Signature", "v1,x"),
            ("Authorization", "Bearer x"),
            ("Cookie", "a=b"),
            ("X-Gitlab-Token", "x"),
            ("X-Api-Key", "x"),
            ("X-Repeated", "a"),
            ("x-repeated", "b"),
        ];
        let plain = plain_headers(headers.into_iter());
        assert_eq!(json!(plain), json!({"x-github-event": "issues", "x-repeated": "a, b"}));
        let long = "x".repeat(9_000);
        assert!(plain_headers([("a", long.as_str())].into_iter()).is_empty());
    }

    #[test]
    fn only_slack_asks_whether_anybody_is_there() {
        let asks = json!({"type": "url_verification", "challenge": "abc"});
        assert_eq!(challenge(Scheme::Slack, &asks), Some("abc"));
        assert_eq!(challenge(Scheme::None, &asks), None);
        assert_eq!(challenge(Scheme::Slack, &json!({"type": "event_callback"})), None);
        assert_eq!(challenge(Scheme::Slack, &json!("text")), None);
    }
}
