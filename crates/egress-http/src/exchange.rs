//! One HTTP/1.1 exchange (RFC 9112) over a connection of its own, with everything that comes back bounded.

use crate::connection::Progress;
use bytes::Bytes;
use egress::EgressError;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bounds of an answer's head.
const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Sends `request` and reads the answer, its body only where `wants_body` says so.
pub(crate) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    max_body: usize,
    wants_body: impl Fn(&Response<Incoming>) -> bool,
    progress: &Progress,
) -> Result<Answer, EgressError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error: hyper::Error| failure(&error, progress);
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let answering = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let reads = wants_body(&response);
        let (head, body) = response.into_parts();
        let body = if reads { collect(body, max_body, progress).await? } else { Vec::new() };
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(connection, answering);
    // The connection is driven here and not in a task of its own, so that dropping the call ends it.
    let mut driving = true;
    loop {
        tokio::select! {
            answer = &mut answering => return answer,
            _ = &mut connection, if driving => driving = false,
        }
    }
}

async fn collect(mut body: Incoming, max_body: usize, progress: &Progress) -> Result<Vec<u8>, EgressError> {
    let fits = |length: u64| usize::try_from(length).is_ok_and(|length| length <= max_body);
    if !fits(body.size_hint().lower()) {
        return Err(EgressError::TooLarge);
    }
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure(&error, progress))?;
        if let Some(data) = frame.data_ref() {
            if data.len() > max_body - collected.len() {
                return Err(EgressError::TooLarge);
            }
            collected.extend_from_slice(data);
        }
    }
    Ok(collected)
}

fn failure(error: &hyper::Error, progress: &Progress) -> EgressError {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    // What cannot be read as chunks arrives as an I/O error of these kinds.
    let garbled = source.is_some_and(|source| {
        matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    });
    if error.is_parse_too_large() {
        EgressError::TooLarge
    } else if error.is_parse() || garbled {
        EgressError::Protocol
    } else {
        EgressError::Broken { sent: progress.sent() }
    }
}

#[cfg(test)]
mod tests {
    use super::exchange;
    use crate::connection::{Connection, Progress};
    use bytes::Bytes;
    use egress::EgressError;
    use http::Request;
    use http_body_util::Full;

    #[tokio::test]
    async fn a_connection_that_takes_nothing_has_sent_nothing() {
        let (near, far) = tokio::io::duplex(64);
        drop(far);
        let progress = Progress::default();
        let stream = Connection::Plain(near, progress.clone());
        let request = Request::get("/").body(Full::new(Bytes::new())).unwrap();
        let error = exchange(stream, request, 10, |_| true, &progress).await.err();
        assert!(matches!(error, Some(EgressError::Broken { sent: false })), "{error:?}");
    }
}
