//! Receiving an answer's body, bounded in size and in time.

use bytes::Bytes;
use env::Timestamp;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use model::{ModelError, Timeouts, Waiting};
use std::time::Duration;
use tokio::time::Instant;

/// How long a finished answer may delay its caller for the sake of the connection.
const DRAIN: Duration = Duration::from_millis(50);

/// How long to wait for what, as moments of the runtime's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) first_byte: Instant,
    pub(crate) total: Instant,
    idle: Duration,
}

impl Patience {
    /// From now on. The caller's deadline, where there is one, shortens the whole.
    pub(crate) fn from_now(timeouts: &Timeouts, now: Timestamp, deadline: Option<Timestamp>) -> Self {
        let start = Instant::now();
        let left = deadline.map(|deadline| deadline.millis().saturating_sub(now.millis()));
        let left = left.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
        let total = start + left.map_or(timeouts.total, |left| left.min(timeouts.total));
        Self { first_byte: total.min(start + timeouts.first_byte), total, idle: timeouts.idle }
    }

    /// Until when to wait for the next bytes, and what that is.
    fn next(&self, first: bool) -> (Instant, Waiting) {
        let (limit, waiting) = if first {
            (self.first_byte, Waiting::FirstByte)
        } else {
            (Instant::now() + self.idle, Waiting::Idle)
        };
        if self.total < limit { (self.total, Waiting::Total) } else { (limit, waiting) }
    }
}

/// A body that may hold so many more bytes.
pub(crate) struct Received {
    body: Incoming,
    patience: Patience,
    left: usize,
    awaits_first: bool,
}

impl Received {
    /// `awaits_first`: whether the first bytes have a time limit of their own.
    pub(crate) fn new(
        body: Incoming,
        patience: Patience,
        most: usize,
        awaits_first: bool,
    ) -> Result<Self, ModelError> {
        // A declared length that is too large need not be read to be known.
        if body.size_hint().lower() > most as u64 {
            return Err(ModelError::TooLarge);
        }
        Ok(Self { body, patience, left: most, awaits_first })
    }

    /// The next bytes, or `None` at the body's end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ModelError> {
        loop {
            let (until, waiting) = self.patience.next(self.awaits_first);
            let frame = tokio::time::timeout_at(until, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| ModelError::Timeout(waiting))? else { return Ok(None) };
            let Ok(bytes) = frame.map_err(|_| ModelError::Broken)?.into_data() else { continue };
            if bytes.is_empty() {
                continue;
            }
            self.awaits_first = false;
            self.left = self.left.checked_sub(bytes.len()).ok_or(ModelError::TooLarge)?;
            return Ok(Some(bytes));
        }
    }

    /// Reads on to the body's end, if it is there soon, so that the connection can serve again. Dropping the
    /// body before its end closes the connection.
    pub(crate) async fn drain(&mut self) {
        let _ = tokio::time::timeout(DRAIN, async { while let Ok(Some(_)) = self.next().await {} }).await;
    }

    /// The whole body.
    pub(crate) async fn whole(mut self) -> Result<Vec<u8>, ModelError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }
}

/// Whether the answer is of this media type, and not compressed, which was not asked for.
pub(crate) fn is_plain(headers: &HeaderMap, media_type: &str) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let given = text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let encoding = text(header::CONTENT_ENCODING).unwrap_or("identity").trim();
    given.eq_ignore_ascii_case(media_type) && encoding.eq_ignore_ascii_case("identity")
}
