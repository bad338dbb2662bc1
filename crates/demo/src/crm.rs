//! A stand-in for the tenants' CRM: each tenant has an address and a token of its own, a repeated
//! idempotency key makes nothing twice, and now and then the first attempt meets a 503.

use bytes::Bytes;
use client::{CallError, Client};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use secret::SecretText;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const MAX_BODY_BYTES: usize = 64 * 1024;
/// The lead whose first attempt fails, counted over both tenants.
const BUSY_AT: u64 = 2;

/// The stand-in.
pub(crate) struct Crm {
    listener: TcpListener,
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
}

/// What it knows and what happened.
#[derive(Default)]
pub(crate) struct Books {
    tokens: HashMap<String, SecretText>,
    /// What each idempotency key was answered.
    answered: HashMap<String, Value>,
    seen: u64,
    busied: HashMap<String, ()>,
    /// Leads that were taken, by customer.
    pub(crate) taken: HashMap<String, Vec<Value>>,
    /// Requests with a wrong token.
    pub(crate) refused: u64,
    /// Requests that met a 503.
    pub(crate) busy: u64,
    /// Requests that repeated an idempotency key.
    pub(crate) repeated: u64,
}

impl Crm {
    /// Listens on a free port.
    pub(crate) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, books: Arc::default() })
    }

    /// Its host and port.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// A customer's own address.
    pub(crate) fn url(&self, customer: &str) -> String {
        format!("http://{}/{customer}", self.address)
    }

    /// Gives a customer its token.
    pub(crate) fn enrol(&self, customer: &str, token: SecretText) {
        self.books().tokens.insert(customer.to_owned(), token);
    }

    /// How one customer's address answers to another customer's token.
    pub(crate) async fn status_of_foreign_token(&self, from: &str, at: &str) -> Result<u16, CallError> {
        let token = self.books().tokens.get(from).cloned();
        let address = self.url(at).parse().map_err(|_| CallError::Unexpected("no address".to_owned()))?;
        let client = Client::new(address);
        let call = client.call(Method::POST, "/leads").json(&json!({}))?;
        let call = token.into_iter().fold(call, client::Call::key);
        Ok(call.send().await?.status.as_u16())
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// Answers for ever.
    pub(crate) async fn serve(&self) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            if let Ok((stream, _)) = self.listener.accept().await {
                connections.spawn(connection(stream, self.books.clone()));
            }
        }
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(stream: TcpStream, books: Arc<Mutex<Books>>) {
    let service = service_fn(move |request| answer(request, books.clone()));
    // A caller that goes away is the caller's business.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    books: Arc<Mutex<Books>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map(|body| body.to_bytes());
    let lead = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let (status, body) = match (parts.method, parts.uri.path().strip_suffix("/leads"), lead) {
        (Method::POST, Some(customer), Some(lead)) => {
            lock(&books).take(customer.trim_start_matches('/'), &parts.headers, lead)
        }
        _ => (StatusCode::NOT_FOUND, json!({"error": "there is only POST /CUSTOMER/leads"})),
    };
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Books {
    fn take(&mut self, customer: &str, headers: &HeaderMap, lead: Value) -> (StatusCode, Value) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let token = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if token.is_none() || token != self.tokens.get(customer).map(SecretText::expose) {
            self.refused += 1;
            return (StatusCode::UNAUTHORIZED, json!({"error": "this token is not this customer's"}));
        }
        let key = text("idempotency-key").map(|key| format!("{customer} {key}"));
        if let Some(answered) = key.as_ref().and_then(|key| self.answered.get(key)) {
            self.repeated += 1;
            return (StatusCode::OK, answered.clone());
        }
        let again = key.as_ref().is_some_and(|key| self.busied.contains_key(key));
        if !again {
            self.seen += 1;
            if self.seen == BUSY_AT {
                self.busy += 1;
                self.busied.extend(key.map(|key| (key, ())));
                return (StatusCode::SERVICE_UNAVAILABLE, json!({"error": "busy, try again"}));
            }
        }
        let taken = self.taken.entry(customer.to_owned()).or_default();
        taken.push(lead);
        let made = json!({"id": format!("{customer}-{}", taken.len())});
        self.answered.extend(key.map(|key| (key, made.clone())));
        (StatusCode::CREATED, made)
    }
}

#[cfg(test)]
mod tests {
    use super::Books;
    use http::HeaderMap;
    use secret::SecretText;
    use serde_json::json;

    fn headers(token: &str, key: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        headers.insert("idempotency-key", key.parse().unwrap());
        headers
    }

    #[test]
    fn only_the_customer_s_own_token_opens() {
        let mut books = Books::default();
        for customer in ["acme", "globex"] {
            books.tokens.insert(customer.to_owned(), SecretText::new(format!("{customer}-token")));
        }
        assert_eq!(books.take("acme", &headers("globex-token", "1"), json!({})).0, 401);
        assert_eq!(books.take("nobody", &headers("acme-token", "1"), json!({})).0, 401);
        assert_eq!(books.take("acme", &headers("acme-token", "1"), json!({})).0, 201);
        assert_eq!((books.refused, books.taken["acme"].len()), (2, 1));
    }

    #[test]
    fn a_repeated_key_makes_nothing_twice_and_one_first_attempt_fails() {
        let mut books = Books::default();
        books.tokens.insert("acme".to_owned(), SecretText::new("t".to_owned()));
        let first = books.take("acme", &headers("t", "1"), json!({}));
        let again = books.take("acme", &headers("t", "1"), json!({}));
        assert_eq!((first.1, again.0.as_u16()), (again.1.clone(), 200));
        assert_eq!(books.take("acme", &headers("t", "2"), json!({})).0, 503);
        assert_eq!(books.take("acme", &headers("t", "2"), json!({})).0, 201);
        assert_eq!((books.taken["acme"].len(), books.busy), (2, 1));
    }
}
