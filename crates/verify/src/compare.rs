//! What an answer gives away.

use crate::side::Side;
use crate::world::Request;
use client::Answer;
use serde_json::Value;
use std::collections::BTreeMap;

/// Headers that differ from answer to answer by their nature: ids, clocks, and the caller's own counters.
const VOLATILE: [&str; 6] =
    ["x-request-id", "date", "content-length", "ratelimit", "retry-after", "ratelimit-policy"];

/// Words that come from the inside of a server.
const INSIDES: [&str; 9] = [
    "sqlite",
    "sqlcipher",
    "select *",
    "insert into",
    "no such table",
    "constraint failed",
    "panicked at",
    ".rs:",
    "/regions/",
];

/// A marker of the other side that stands in an answer and did not stand in the request.
pub(crate) fn leaked(answer: &Answer, other: &Side, request: &Request<'_>) -> Option<String> {
    let mut text = answer.text().into_owned();
    for value in answer.headers.values() {
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    let found =
        other.markers().into_iter().find(|marker| text.contains(marker) && !request.contains(marker))?;
    let what = if found == other.canary { "canary".to_owned() } else { format!("id {found}") };
    Some(format!("the answer ({}) shows the other tenant's {what}", answer.status.as_u16()))
}

/// A word from the server's inside in an error.
pub(crate) fn insides(answer: &Answer) -> Option<String> {
    if answer.status.is_success() {
        return None;
    }
    let text = answer.text().to_lowercase();
    let found = INSIDES.iter().find(|word| text.contains(**word))?;
    Some(format!("the error ({}) shows the server's inside: `{found}`", answer.status.as_u16()))
}

/// In what two answers differ besides their ids and clocks, where the first was asked with one value and
/// the second with another: enough to tell the two apart.
pub(crate) fn difference(first: (&Answer, &str), second: (&Answer, &str)) -> Option<String> {
    let (foreign, missing) = (first.0, second.0);
    if foreign.status != missing.status {
        let (foreign, missing) = (foreign.status.as_u16(), missing.status.as_u16());
        return Some(format!("foreign answers {foreign} and missing {missing}"));
    }
    // A good answer is the caller's own; what it may not contain is looked for elsewhere.
    if foreign.status.is_success() {
        return None;
    }
    let (theirs, ours) = (headers(foreign, first.1), headers(missing, second.1));
    if let Some(name) = theirs.keys().chain(ours.keys()).find(|name| theirs.get(*name) != ours.get(*name)) {
        return Some(format!("foreign and missing differ in the header `{name}`"));
    }
    let (theirs, ours) = (body(foreign, first.1), body(missing, second.1));
    (theirs != ours).then(|| format!("foreign and missing differ in the body ({})", foreign.status.as_u16()))
}

fn headers(answer: &Answer, sent: &str) -> BTreeMap<String, String> {
    let kept = answer.headers.iter().filter(|(name, _)| !VOLATILE.contains(&name.as_str()));
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).replace(sent, "…");
    kept.map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// The bytes of the body, but for the request's id and an echo of what was sent.
fn body(answer: &Answer, sent: &str) -> String {
    let text = answer.text().replace(sent, "…");
    match answer.json()["request_id"] {
        Value::String(ref id) => text.replace(id.as_str(), "…"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{difference, insides};
    use client::Answer;
    use http::{HeaderMap, StatusCode};

    fn answer(status: u16, header: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "r".parse().unwrap());
        headers.insert("x-other", header.parse().unwrap());
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_owned().into() }
    }

    #[test]
    fn only_the_request_id_and_the_echo_may_differ() {
        let foreign = answer(404, "a", r#"{"detail":"no rec_1","request_id":"req_1"}"#);
        let missing = answer(404, "a", r#"{"detail":"no rec_2","request_id":"req_2"}"#);
        assert_eq!(difference((&foreign, "rec_1"), (&missing, "rec_2")), None);
    }

    #[test]
    fn status_headers_and_single_bytes_tell() {
        let missing = answer(404, "a", r#"{"detail":"no"}"#);
        for foreign in [
            answer(403, "a", r#"{"detail":"no"}"#),
            answer(404, "b", r#"{"detail":"no"}"#),
            answer(404, "a", r#"{"detail": "no"}"#),
        ] {
            assert!(difference((&foreign, "x"), (&missing, "y")).is_some());
        }
    }

    #[test]
    fn errors_from_the_inside_are_seen() {
        assert!(insides(&answer(500, "a", "UNIQUE constraint failed: records.id")).is_some());
        assert!(insides(&answer(200, "a", "a record about SQLite")).is_none());
    }
}
