//! An answer, whole.

use crate::{CallError, Refusal};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;

/// An answer, whole: good or bad.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON; null where it is empty or something else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer itself if it is a good one.
    pub fn accepted(self) -> Result<Self, CallError> {
        if self.status.is_success() { Ok(self) } else { Err(CallError::Refused(Box::new(self.refusal()))) }
    }

    /// A good answer's body, read as `T`.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let answer = self.accepted()?;
        serde_json::from_slice(&answer.body).map_err(|error| CallError::Unexpected(error.to_string()))
    }

    fn refusal(&self) -> Refusal {
        let members = self.json();
        let text = |name: &str| members[name].as_str().unwrap_or_default().to_owned();
        let (code, detail, request_id) = (text("code"), text("detail"), text("request_id"));
        Refusal { status: self.status.as_u16(), code, detail, request_id, members }
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;
    use http::{HeaderMap, StatusCode};

    fn answer(status: u16, body: &'static str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: HeaderMap::new(), body: body.as_bytes().into() }
    }

    #[test]
    fn a_refusal_carries_the_problem() {
        let problem = r#"{"status":404,"code":"not_found","detail":"No.","request_id":"r"}"#;
        let error = answer(404, problem).accepted().unwrap_err();
        assert_eq!(error.code(), Some("not_found"));
        assert_eq!(error.to_string(), "the server answered 404 not_found: No.");
        assert_eq!(answer(502, "").accepted().unwrap_err().to_string(), "the server answered 502");
    }

    #[test]
    fn a_good_answer_is_read() {
        assert_eq!(answer(200, "[1,2]").read::<Vec<u8>>().unwrap(), [1, 2]);
        assert!(answer(200, "nothing").read::<Vec<u8>>().is_err());
    }
}
