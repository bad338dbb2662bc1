//! [`Connection`]: a stream to one host, in the clear or over TLS, that notes when something leaves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

/// Whether a byte of a request may have left, over all connections of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<AtomicBool>);

impl Progress {
    fn note(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn sent(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A stream of either kind.
pub(crate) enum Connection<S> {
    /// In the clear.
    Plain(S, Progress),
    /// Over TLS. Its handshake is done before this is made, and counts as nothing sent.
    Tls(Box<TlsStream<S>>, Progress),
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_read(task, buffer),
            Self::Tls(stream, _) => Pin::new(stream).poll_read(task, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream, progress) => {
                let written = Pin::new(stream).poll_write(task, bytes);
                if matches!(written, Poll::Ready(Ok(count)) if count > 0) {
                    progress.note();
                }
                written
            }
            Self::Tls(stream, progress) => {
                let written = Pin::new(stream).poll_write(task, bytes);
                // A write that fails may have sent a part of its record before it did.
                if matches!(written, Poll::Ready(Ok(1..) | Err(_))) {
                    progress.note();
                }
                written
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_flush(task),
            Self::Tls(stream, _) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_shutdown(task),
            Self::Tls(stream, _) => Pin::new(stream).poll_shutdown(task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, Progress};
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn a_byte_that_left_is_noted_and_one_that_could_not_is_not() {
        let progress = Progress::default();
        let (near, far) = tokio::io::duplex(16);
        drop(far);
        assert!(Connection::Plain(near, progress.clone()).write_all(b"x").await.is_err());
        assert!(!progress.sent());
        let (near, _far) = tokio::io::duplex(16);
        assert!(Connection::Plain(near, progress.clone()).write_all(b"x").await.is_ok());
        assert!(progress.sent());
    }
}
