//! [`Call`]: a request on its way.

use crate::{Answer, CallError, Client};
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Frame;
use secret::SecretText;
use serde::Serialize;
use std::error::Error;
use std::io::{self, SeekFrom};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Exports are the largest answers.
const MAX_ANSWER_BYTES: usize = 1 << 30;
/// What a refusal may have instead of a file.
const MAX_REFUSAL_BYTES: usize = 1 << 20;
/// How much of a file is in memory at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A body that is sent: bytes, or a file piece by piece.
pub(crate) type Sent = UnsyncBoxBody<Bytes, io::Error>;

/// A request on its way.
pub struct Call<'c> {
    client: &'c Client,
    request: http::request::Builder,
    key: Option<SecretText>,
    body: Sent,
    timeout: Duration,
    largest: usize,
}

impl<'c> Call<'c> {
    pub(crate) fn new(client: &'c Client, method: Method, path: &str) -> Self {
        let request = Request::builder().method(method).uri(client.base.join(path));
        Self {
            client,
            request,
            key: client.key.clone(),
            body: whole(Bytes::new()),
            timeout: TIMEOUT,
            largest: MAX_ANSWER_BYTES,
        }
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
        self.body = whole(body);
        self
    }

    /// With a file as its body, which is read as it is sent.
    pub async fn file(mut self, media_type: &str, mut file: File) -> Result<Self, CallError> {
        let length = file.seek(SeekFrom::End(0)).await.map_err(CallError::File)?;
        file.rewind().await.map_err(CallError::File)?;
        self.request = self.request.header(CONTENT_TYPE, media_type).header(CONTENT_LENGTH, length);
        let pieces = stream::try_unfold(file, |mut file| async move {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            let read = file.read_buf(&mut piece).await?;
            Ok((read > 0).then(|| (Frame::data(piece.freeze()), file)))
        });
        self.body = StreamBody::new(pieces).boxed_unsync();
        Ok(self)
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

    /// Reads an answer of at most this many bytes.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// Sends it and reads the whole answer, good or bad.
    pub async fn send(self) -> Result<Answer, CallError> {
        let (timeout, largest) = (self.timeout, self.largest);
        let whole = async {
            let (parts, body) = self.begin().await?.into_parts();
            let body = Limited::new(body, largest).collect().await;
            let body = body.map_err(|error| CallError::Body(error.to_string()))?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(timeout, whole).await.unwrap_or(Err(CallError::TimedOut(timeout.as_secs())))
    }

    /// Sends it and writes a good answer's body into the file, or whatever else takes it, as it arrives; gives back
    /// how many bytes it had.
    pub async fn send_into(self, file: &mut (impl AsyncWrite + Unpin)) -> Result<u64, CallError> {
        let timeout = self.timeout;
        let whole = async {
            let (parts, mut body) = self.begin().await?.into_parts();
            if !parts.status.is_success() {
                let body = Limited::new(body, MAX_REFUSAL_BYTES).collect().await;
                let body = body.map_err(|error| CallError::Body(error.to_string()))?.to_bytes();
                let answer = Answer { status: parts.status, headers: parts.headers, body };
                return answer.accepted().map(|_| 0);
            }
            let mut received = 0u64;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| CallError::Body(error.to_string()))?;
                if let Ok(data) = frame.into_data() {
                    received += data.len() as u64;
                    file.write_all(&data).await.map_err(CallError::File)?;
                }
            }
            file.flush().await.map_err(CallError::File)?;
            Ok(received)
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
        let mut request = self.request.body(self.body)?;
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

fn whole(bytes: Bytes) -> Sent {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The cause that says most: clients wrap "connection refused" several times.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
