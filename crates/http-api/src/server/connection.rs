//! One connection: from its first byte to its end, which comes also when nothing is asked any more.

use super::Bounds;
use super::lingering::Lingering;
use super::socket::Socket;
use crate::call::Peer;
use crate::problem::Refused;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use errors::{Code, Problem};
use http::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// What a connection is served with.
pub(super) struct Served {
    pub(super) router: Router,
    pub(super) builder: auto::Builder<TokioExecutor>,
    pub(super) peer: SocketAddr,
    pub(super) bounds: Bounds,
    pub(super) draining: watch::Receiver<bool>,
}

impl Served {
    pub(super) async fn run(self, stream: TcpStream) {
        let Self { router, builder, peer, bounds, mut draining } = self;
        let begun = tokio::select! {
            begun = Socket::begin(stream, bounds.header_timeout, bounds.write_timeout) => begun,
            () = drain(&mut draining) => None,
        };
        let Some(socket) = begun else { return };
        let requests = Requests::default();
        let service = {
            let requests = requests.clone();
            service_fn(move |request| answer(router.clone(), request, peer, requests.begin()))
        };
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(socket), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = drain(&mut draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = requests.none_for(bounds.header_timeout) => {
                connection.as_mut().graceful_shutdown();
                // Whoever does not answer the goodbye is left all the same.
                tokio::time::timeout(bounds.header_timeout, connection).await.unwrap_or(Ok(()))
            }
            () = requests.unread_for(bounds.write_timeout * UNREAD_TIMES) => {
                tracing::debug!("an answer was not read on");
                Ok(())
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Waits until the server drains.
async fn drain(draining: &mut watch::Receiver<bool>) {
    // A sender that is gone drains, too.
    let _ = draining.wait_for(|draining| *draining).await;
}

async fn answer(
    mut router: Router,
    request: http::Request<Incoming>,
    peer: SocketAddr,
    under_way: UnderWay,
) -> Result<Response<Counted>, Infallible> {
    use tower_service::Service as _;
    let mut request: Request = Lingering::of(request).map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    let response = router.call(request).await.unwrap_or_else(|_| {
        Refused(Problem::new(Code::Internal, "The request could not be routed.")).into_response()
    });
    Ok(response.map(|body| Counted { body, under_way }))
}

/// For how many times the write timeout one answer of several may be left unread. The socket's own timer sees
/// a reader that takes nothing; over HTTP/2 a reader may take everything but one answer.
const UNREAD_TIMES: u32 = 10;

/// The requests of a connection that are under way. One is until its answer's body was sent or given up.
#[derive(Clone, Default)]
struct Requests(Arc<Counts>);

#[derive(Default)]
struct Counts {
    under_way: watch::Sender<usize>,
    last: AtomicU64,
    /// Since when pieces of answers wait to be asked on, by request.
    unread: Mutex<BTreeMap<u64, Instant>>,
}

struct UnderWay {
    requests: Requests,
    number: u64,
}

impl Requests {
    fn begin(&self) -> UnderWay {
        self.0.under_way.send_modify(|count| *count += 1);
        UnderWay { requests: self.clone(), number: self.0.last.fetch_add(1, Ordering::Relaxed) }
    }

    fn unread(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.0.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a piece of an answer has been left unread for this long.
    async fn unread_for(&self, span: Duration) {
        loop {
            tokio::time::sleep(span / 4).await;
            if self.unread().values().any(|since| since.elapsed() >= span) {
                return;
            }
        }
    }

    /// Waits until there has been none for this long.
    async fn none_for(&self, span: Duration) {
        let mut count = self.0.under_way.subscribe();
        loop {
            if count.wait_for(|count| *count == 0).await.is_err() {
                return;
            }
            if tokio::time::timeout(span, count.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.requests.unread().remove(&self.number);
        self.requests.0.under_way.send_modify(|count| *count -= 1);
    }
}

/// An answer's body, as long as which its request is under way.
struct Counted {
    body: Body,
    under_way: UnderWay,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let UnderWay { requests, number } = &self.under_way;
        match polled {
            Poll::Ready(Some(Ok(_))) => requests.unread().insert(*number, Instant::now()),
            _ => requests.unread().remove(number),
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
