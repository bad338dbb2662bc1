//! [`Call`]: a request on its way.

use crate::{Answer, CallError, Client};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use secret::SecretText;
use serde::Serialize;
use std::error::Error;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Exports are the largest answers.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// A request on its way.
pub struct Call<'c> {
    client: &'c Client,
    request: http::request::Builder,
    key: Option<SecretText>,
    body: Bytes,
    timeout: Duration,
}

impl<'c> Call<'c> {
    pub(crate) fn new(client: &'c Client, method: Method, path: &str) -> Self {
        let request = Request::builder().method(method).uri(client.base.join(path));
        Self { client, request, key: client.key.clone(), body: Bytes::new(), timeout: TIMEOUT }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With another key than the client's.
    #[must_use]
    pub fn key(mut self, key: SecretText) -> Self {
        self.key = Some(key);
        self
    }

    /// With a body that says its own type.
    #[must_use]
    pub fn body(mut self, media_type: &str, body: Bytes) -> Self {
        self.request = self.request.header(CONTENT_TYPE, media_type);
        self.body = body;
        self
    }

    /// With a JSON body.
    pub fn json(self, body: &impl Serialize) -> Result<Self, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| CallError::Unexpected(error.to_string()))?;
        Ok(self.body("application/json", body.into()))
    }

    /// Waits at most this long for the whole answer.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends it and reads the whole answer, good or bad.
    pub async fn send(self) -> Result<Answer, CallError> {
        let timeout = self.timeout;
        let whole = async {
            let (parts, body) = self.begin().await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| CallError::Body(error.to_string()))?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(timeout, whole).await.unwrap_or(Err(CallError::TimedOut(timeout.as_secs())))
    }

    /// Sends it and reads what comes for this long: for streams of events, which need not end.
    pub async fn listen(self, span: Duration) -> Result<Answer, CallError> {
        let timeout = self.timeout;
        let begun = tokio::time::timeout(timeout, self.begin()).await;
        let (parts, mut body) = begun.unwrap_or(Err(CallError::TimedOut(timeout.as_secs())))?.into_parts();
        let mut read = BytesMut::new();
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
        };
        // The span's end is the ordinary end of a stream that goes on.
        let _ = tokio::time::timeout(span, reading).await;
        Ok(Answer { status: parts.status, headers: parts.headers, body: read.freeze() })
    }

    async fn begin(self) -> Result<Response<hyper::body::Incoming>, CallError> {
        let mut request = self.request.body(Full::new(self.body))?;
        if let Some(key) = &self.key {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", key.expose())).map_err(http::Error::from)?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let url = self.client.base.to_string();
        let sent = self.client.connections.request(request).await;
        sent.map_err(|error| CallError::Unreachable { url, reason: innermost(&error) })
    }
}

/// The cause that says most: clients wrap "connection refused" several times.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
