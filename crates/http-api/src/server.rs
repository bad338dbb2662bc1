//! Serving connections: bounded in number, also by address, each with time limits, drained at the end.

mod connection;
mod lingering;
mod socket;

#[cfg(test)]
mod tests;

use crate::shares::Shares;
use axum::Router;
use connection::Served;
use context::subscriber_network;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Bounds of what callers may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at the same time.
    pub connections: usize,
    /// Connections of one address, or of one IPv6 network, at the same time.
    pub per_address: usize,
    /// How long the first bytes and each request's head may take to arrive. A connection that sends none
    /// for as long is closed.
    pub header_timeout: Duration,
    /// How long a caller may take nothing of what is sent to it. Then the connection is closed.
    pub write_timeout: Duration,
    /// How long connections may take to end when the server drains.
    pub drain: Duration,
}

impl Bounds {
    /// The share of one address where none is configured: a quarter.
    pub const fn share_of(connections: usize) -> usize {
        if connections < 4 { connections } else { connections / 4 }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        let connections = 8192;
        Self {
            connections,
            per_address: Self::share_of(connections),
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(25),
        }
    }
}

const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
const MAX_STREAMS: u32 = 128;
/// What waits in memory for the reader of one answer over HTTP/2.
const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// Serves until `stop` is ready, then lets requests under way end.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let addresses = Shares::new(bounds.per_address);
    let (draining, drain) = watch::channel(false);
    let builder = builder(bounds);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let Some(share) = addresses.take(subscriber_network(peer.ip()), 1) else {
            tracing::debug!("an address has all the connections that it may have");
            continue;
        };
        let (router, builder) = (router.clone(), builder.clone());
        let served = Served { router, builder, peer, bounds, draining: drain.clone() };
        tokio::spawn(async move {
            served.run(stream).await;
            drop((share, place));
        });
    }
    drop((listener, drain));
    let _ = draining.send(true);
    if tokio::time::timeout(bounds.drain, draining.closed()).await.is_err() {
        tracing::warn!("some connections did not end in time and were closed");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection kept its delay");
            }
            Some((stream, peer, place))
        }
        Err(error) => {
            // Out of file handles, most likely: give others time to let some go.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn builder(bounds: Bounds) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(MAX_UNSENT_BYTES)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(bounds.header_timeout))
        .keep_alive_timeout(bounds.header_timeout);
    builder
}
