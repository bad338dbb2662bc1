//! [`Client`]: connections to one server, with the key that calls carry.

use crate::call::Sent;
use crate::{BaseUrl, Call, CallError};
use http::Method;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secret::SecretText;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

pub(crate) type Connections = Pool<HttpsConnector<HttpConnector>, Sent>;

/// How long a connection without work is kept. Shorter than the server's own limit, so that no request
/// meets a connection that is being closed.
const IDLE: Duration = Duration::from_secs(15);

/// Connections to one server, and the key that calls carry. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) connections: Connections,
    pub(crate) base: BaseUrl,
    pub(crate) key: Option<SecretText>,
}

impl Client {
    /// A client of the server at this address, without a key.
    #[expect(clippy::disallowed_methods, reason = "this is where calls to a server of ours go out")]
    pub fn new(base: BaseUrl) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_secs(10)));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connections = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { connections, base, key: None }
    }

    /// The same connections with this key.
    #[must_use]
    pub fn with_key(&self, key: SecretText) -> Self {
        Self { key: Some(key), ..self.clone() }
    }

    /// The same connections without a key.
    #[must_use]
    pub fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// The key that calls carry.
    pub fn key(&self) -> Option<&SecretText> {
        self.key.as_ref()
    }

    /// The server's address.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Begins a call of any method and path. The path begins with a slash and may have a query.
    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call::new(self, method, path)
    }

    /// `GET`, answered with JSON.
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path).send().await?.read()
    }

    /// `POST` of JSON, answered with JSON or with nothing, which is null.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, CallError> {
        Ok(self.call(Method::POST, path).json(body)?.send().await?.accepted()?.json())
    }

    /// `PUT` of JSON, answered with JSON or with nothing, which is null.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Result<Value, CallError> {
        Ok(self.call(Method::PUT, path).json(body)?.send().await?.accepted()?.json())
    }

    /// `DELETE`, answered with JSON or with nothing, which is null.
    pub async fn delete(&self, path: &str) -> Result<Value, CallError> {
        Ok(self.call(Method::DELETE, path).send().await?.accepted()?.json())
    }
}
