//! The witness over HTTP: `POST /add-checkpoint`, as the standard says, and nothing else.

use crate::submission::{Refused, Witness};
use audit::note::MAX_REQUEST_BYTES;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at the same time. A log sends one request now and then.
const MAX_CONNECTIONS: usize = 256;
/// How long a head, and how long a body, may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last.
const MAX_LIFE: Duration = Duration::from_secs(300);

/// Serves until `stop` is ready.
pub async fn serve(listener: TcpListener, witness: Arc<Witness>, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = accepted => accepted,
        };
        let Some((Ok((stream, _)), place)) = accepted else {
            // Out of file handles, most likely: give others time to let some go.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let witness = witness.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(witness.clone(), request));
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A connection that ends badly, or lasts too long, is the caller's to make anew.
            let _ = tokio::time::timeout(MAX_LIFE, serving).await;
            drop(place);
        });
    }
}

async fn answer(
    witness: Arc<Witness>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/add-checkpoint" {
        return Ok(text(404, "This is a witness of logs (C2SP tlog-witness): POST /add-checkpoint.\n"));
    }
    if request.method() != Method::POST {
        return Ok(text(405, "POST it.\n"));
    }
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect();
    let body = match tokio::time::timeout(TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => return Ok(text(400, "The body is too long, or did not arrive in time.\n")),
    };
    let Ok(body) = String::from_utf8(body.to_vec()) else { return Ok(text(400, "The body is not text.\n")) };
    let outcome = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await;
    Ok(match outcome {
        Ok(Ok(line)) => text(200, line),
        Ok(Err(Refused::Conflict(size))) => {
            let mut answer = text(409, format!("{size}\n"));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/x.tlog.size"));
            answer
        }
        Ok(Err(refused)) => {
            if let Refused::NotKept(error) = &refused {
                tracing::error!(%error, "a checkpoint could not be kept");
            }
            text(refused.status(), format!("{refused}\n"))
        }
        Err(_) => text(500, "The witness failed.\n"),
    })
}

fn text(status: u16, text: impl Into<String>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.into())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
