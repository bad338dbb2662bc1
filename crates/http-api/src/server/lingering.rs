//! A request's body that nobody read to its end is taken in all the same, within bounds. A connection closed
//! on bytes that wait unread is reset, and the reset can overtake the answer that says what was wrong (RFC 9112,
//! section 9.6).

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;

/// How much of an unwanted body is taken in before the connection is closed on it.
const MOST_BYTES: usize = 16 << 20;
/// For how long.
const LONGEST: Duration = Duration::from_secs(5);

pub(super) struct Lingering {
    /// Gone when it is taken in.
    body: Option<Incoming>,
    lingers: bool,
}

impl Lingering {
    /// Streams of HTTP/2 end alone, without a reset of their connection, and whoever waits to be told to go on
    /// (RFC 9110, section 10.1.1) has sent nothing yet.
    pub(super) fn of(request: Request<Incoming>) -> Request<Self> {
        let lingers = request.version() <= Version::HTTP_11 && !request.headers().contains_key(EXPECT);
        request.map(|body| Self { body: Some(body), lingers })
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.lingers = false;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let lingers = self.lingers && !self.is_end_stream();
        if let (true, Some(rest), Ok(runtime)) = (lingers, self.body.take(), Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LONGEST, take_in(rest)));
        }
    }
}

async fn take_in(mut rest: Incoming) {
    let mut taken = 0;
    while taken < MOST_BYTES {
        let Some(Ok(frame)) = rest.frame().await else { return };
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
}
