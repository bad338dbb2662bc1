//! One request and the head of its answer, made again only where the first cannot have been taken.

use crate::connect::{ConnectError, Connector};
use crate::wire::{Reached, Wire};
use bytes::Bytes;
use env::Env;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use model::{KeyHeader, ModelError, Target, Unsent, Waiting};
use std::error::Error as _;
use std::time::Duration;
use tokio::time::Instant;

/// How often a request is sent at most.
const ATTEMPTS: u32 = 3;
/// The largest pause before the second attempt; it doubles.
const PAUSE_MS: u64 = 100;
/// The longest head of an answer, in bytes, and the most headers in it.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
const POOL_IDLE: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("tenantry/", env!("CARGO_PKG_VERSION"));

/// A pool of connections.
pub(crate) type Pool = Client<Connector, Full<Bytes>>;

/// A pool that keeps at most so many idle connections for each host.
#[expect(clippy::disallowed_methods, reason = "this is where calls to models go out")]
pub(crate) fn pool(connector: Connector, idle_per_host: usize) -> Pool {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(idle_per_host)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        .http1_max_headers(MAX_HEADERS)
        .build(connector)
}

/// A request, ready to be sent as often as need be.
pub(crate) struct Prepared {
    uri: Uri,
    authorization: Option<(header::HeaderName, HeaderValue)>,
    accept: HeaderValue,
    body: Bytes,
}

impl Prepared {
    pub(crate) fn new(target: &Target, model: &str, stream: bool, body: Bytes) -> Result<Self, Unsent> {
        let uri = target.url.chat(model).map_err(|_| Unsent::BadTarget)?;
        let authorization = match &target.key {
            None => None,
            Some(key) => {
                let (name, text) = match target.key_header {
                    KeyHeader::Bearer => (header::AUTHORIZATION, format!("Bearer {}", key.expose())),
                    KeyHeader::ApiKey => {
                        (header::HeaderName::from_static("api-key"), key.expose().to_owned())
                    }
                };
                let mut value = HeaderValue::try_from(text).map_err(|_| Unsent::BadTarget)?;
                value.set_sensitive(true);
                Some((name, value))
            }
        };
        let accept = HeaderValue::from_static(if stream { "text/event-stream" } else { "application/json" });
        Ok(Self { uri, authorization, accept, body })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, Unsent> {
        let mut request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, &self.accept)
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::USER_AGENT, USER_AGENT);
        if let Some((name, value)) = &self.authorization {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).map_err(|_| Unsent::BadTarget)
    }
}

/// Why an attempt failed, and whether the next may follow.
struct Failed {
    error: ModelError,
    again: bool,
}

/// Sends the request and waits for the head of its answer until `until`; `waiting` says what that is.
pub(crate) async fn send(
    pool: &Pool,
    prepared: &Prepared,
    env: &Env,
    until: Instant,
    waiting: Waiting,
) -> Result<Response<Incoming>, ModelError> {
    let mut attempt = 1;
    loop {
        let failed = match attempt_once(pool, prepared, until, waiting).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        if !failed.again || attempt == ATTEMPTS {
            return Err(failed.error);
        }
        let pause = u64::from_le_bytes(env.random()) % (PAUSE_MS << (attempt - 1));
        attempt += 1;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn attempt_once(
    pool: &Pool,
    prepared: &Prepared,
    until: Instant,
    waiting: Waiting,
) -> Result<Response<Incoming>, Failed> {
    let mut request = prepared.request().map_err(|unsent| Failed { error: unsent.into(), again: false })?;
    let connection = capture_connection(&mut request);
    match tokio::time::timeout_at(until, pool.request(request)).await {
        Ok(Ok(response)) => {
            if let Some(wire) = response.extensions().get::<Wire>() {
                wire.answered();
            }
            Ok(response)
        }
        Ok(Err(error)) => Err(judged(&error, prepared.body.len() as u64)),
        Err(_) => {
            let connected = connection.connection_metadata().is_some();
            let error = if connected { ModelError::Timeout(waiting) } else { Unsent::ConnectTimeout.into() };
            Err(Failed { error, again: false })
        }
    }
}

fn judged(error: &Error, body: u64) -> Failed {
    if error.is_connect() {
        return no_connection(error);
    }
    let mut extras = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    match extras.get::<Wire>().map_or(Reached::Provider, |wire| wire.reached(body)) {
        Reached::Nothing => Failed { error: Unsent::Connect.into(), again: true },
        Reached::StaleConnection => Failed { error: ModelError::Broken, again: true },
        Reached::Provider => Failed { error: in_the_head(error), again: false },
    }
}

fn no_connection(error: &Error) -> Failed {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<ConnectError>() {
            let unsent = match cause {
                ConnectError::Address => Unsent::BadTarget,
                ConnectError::Tcp => Unsent::Connect,
                ConnectError::Tls => Unsent::Tls,
                ConnectError::TooSlow => Unsent::ConnectTimeout,
            };
            return Failed { error: unsent.into(), again: unsent == Unsent::Connect };
        }
        source = cause.source();
    }
    Failed { error: Unsent::Connect.into(), again: false }
}

fn in_the_head(error: &Error) -> ModelError {
    let cause = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    match cause {
        Some(cause) if cause.is_parse() => ModelError::Garbled("not an HTTP answer, or too long a head"),
        _ => ModelError::Broken,
    }
}
