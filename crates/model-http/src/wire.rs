//! [`Wire`]: what has passed over a connection, so that a failed call can be told from one that never left.
//!
//! On HTTP/1.1 requests and answers alternate: the first write after a read begins a request.

use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What has passed over one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Requests of which a byte was written.
    begun: AtomicU64,
    /// Requests whose answer's head was seen.
    answered: AtomicU64,
    /// Whether the last bytes that passed were an answer's.
    reading: AtomicBool,
    /// Bytes written of the last request.
    written: AtomicU64,
    /// When the last byte was written.
    wrote_at: Mutex<Option<Instant>>,
}

/// How soon after the last byte of a request a close can still be a goodbye that the request crossed. What
/// closes later may have been worked on.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How far a call got before its connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// No byte of it was written.
    Nothing,
    /// It was written to a connection that had served before, which closed at once and gave nothing back, or
    /// before all of it was written: the server had closed the idle connection, and the request crossed its
    /// goodbye.
    StaleConnection,
    /// It may have been taken.
    Provider,
}

impl Wire {
    /// Notes that an answer's head came. Called after the connection may have gone on to its next request,
    /// so it counts, instead of saying how many: a late call can only make a request look sent.
    pub(crate) fn answered(&self) {
        self.0.answered.fetch_add(1, Ordering::SeqCst);
    }

    /// How far the call that fails on this connection now got. Its body alone has so many bytes.
    pub(crate) fn reached(&self, body: u64) -> Reached {
        let begun = self.0.begun.load(Ordering::SeqCst);
        if begun == self.0.answered.load(Ordering::SeqCst) {
            Reached::Nothing
        } else if begun > 1 && !self.0.reading.load(Ordering::SeqCst) && self.crossed(body) {
            Reached::StaleConnection
        } else {
            Reached::Provider
        }
    }

    /// Whether the request cannot have been taken: not all of it was written, or it was just now.
    fn crossed(&self, body: u64) -> bool {
        let part = self.0.written.load(Ordering::SeqCst) <= body;
        let at = *self.0.wrote_at.lock().unwrap_or_else(PoisonError::into_inner);
        part || at.is_some_and(|at| at.elapsed() < AT_ONCE)
    }

    fn wrote(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let first = self.0.begun.load(Ordering::SeqCst) == 0;
        if self.0.reading.swap(false, Ordering::SeqCst) || first {
            self.0.begun.fetch_add(1, Ordering::SeqCst);
            self.0.written.store(0, Ordering::SeqCst);
        }
        self.0.written.fetch_add(bytes as u64, Ordering::SeqCst);
        *self.0.wrote_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn read(&self, bytes: usize) {
        if bytes > 0 {
            self.0.reading.store(true, Ordering::SeqCst);
        }
    }
}

/// A connection with a [`Wire`] on it.
pub(crate) struct Wired<S> {
    pub(crate) stream: S,
    pub(crate) wire: Wire,
}

impl<S> Connection for Wired<S> {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.wire.clone())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wired<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.wire.read(buffer.filled().len() - before);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wired<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &outcome {
            self.wire.wrote(*written);
        }
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(written)) = &outcome {
            self.wire.wrote(*written);
        }
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, Reached, Wire};

    #[test]
    fn how_far_a_call_got() {
        let wire = Wire::default();
        assert_eq!(wire.reached(5), Reached::Nothing);
        wire.wrote(10);
        wire.wrote(10);
        assert_eq!(wire.reached(5), Reached::Provider, "a fresh connection was not closed for idleness");
        wire.read(5);
        wire.answered();
        wire.read(5);
        assert_eq!(wire.reached(5), Reached::Nothing, "the next request was not begun");
        wire.wrote(10);
        assert_eq!(wire.reached(5), Reached::StaleConnection);
        wire.read(1);
        assert_eq!(wire.reached(5), Reached::Provider, "a byte came back");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_whole_and_kept_a_while_may_have_been_taken() {
        let wire = Wire::default();
        wire.wrote(10);
        wire.read(5);
        wire.answered();
        wire.wrote(10);
        tokio::time::advance(AT_ONCE * 2).await;
        assert_eq!(wire.reached(5), Reached::Provider, "all of it was written");
        assert_eq!(wire.reached(100), Reached::StaleConnection, "its body was not written to the end");
    }

    #[test]
    fn a_late_note_only_makes_a_call_look_sent() {
        let wire = Wire::default();
        wire.wrote(1);
        wire.read(1);
        wire.wrote(1);
        assert_eq!(wire.reached(5), Reached::StaleConnection);
        wire.answered();
        assert_eq!(wire.reached(5), Reached::StaleConnection);
    }
}
