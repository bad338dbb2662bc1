//! [`Outside`]: stand-ins for what lies outside of the server: two hosts that `egress.allow` opens, one inside
//! the operator's network that it does not, and a model's provider that keeps state.

mod provider;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use provider::Provider;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

const MAX_BODY_BYTES: usize = 1 << 20;
/// What is remembered; the oldest goes first. One run makes a few hundred requests.
const MAX_SEEN: usize = 10_000;
/// Where an answer sends its reader, behind this, in base64.
const REDIRECT: &str = "/to/";
/// What fails: a path of a host, or a word to the provider.
pub(crate) const FAILS: &str = "/fails";
/// What is answered when it is let go, so that whoever asked has something under way.
const HELD: &str = "/held/";
/// How often it is asked whether it was, [`APART`] from each other.
const LOOKS: usize = 1_250;
const APART: Duration = Duration::from_millis(20);

/// Which of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Open to tenants.
    Open,
    /// Open as well, and somebody else's.
    Other,
    /// Not open: a service of the operator's own network.
    Inside,
}

/// A request that reached one of the hosts.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) target: String,
    /// What the request proved itself with.
    pub(crate) credential: Option<String>,
    pub(crate) body: String,
}

/// Hosts outside of the server. They answer while [`serve`](Self::serve) is polled.
pub struct Outside {
    listeners: [(Place, TcpListener); 3],
    /// The host inside, also at the loopback address of IPv6, where there is one.
    sixth: Option<TcpListener>,
    addresses: [SocketAddr; 3],
    seen: Mutex<Vec<Seen>>,
    /// What was held and is answered now.
    let_go: Mutex<BTreeSet<String>>,
    pub(crate) provider: Provider,
}

impl Outside {
    /// Listens on free ports of this machine.
    pub async fn listen() -> io::Result<Self> {
        let free = async || TcpListener::bind("127.0.0.1:0").await;
        let listeners =
            [(Place::Open, free().await?), (Place::Other, free().await?), (Place::Inside, free().await?)];
        let [open, other, inside] = &listeners;
        let addresses = [open.1.local_addr()?, other.1.local_addr()?, inside.1.local_addr()?];
        let sixth = TcpListener::bind(("::1", addresses[2].port())).await.ok();
        let (seen, let_go, provider) = (Mutex::default(), Mutex::default(), Provider::default());
        Ok(Self { listeners, sixth, addresses, seen, let_go, provider })
    }

    /// The configuration of a server whose tenants may reach what is open.
    pub fn configuration(&self) -> String {
        let [open, other, _] = self.addresses;
        format!("[egress]\nallow = [\"{open}\", \"{other}\"]\n")
    }

    /// Host and port of a place.
    pub(crate) fn at(&self, place: Place) -> SocketAddr {
        let [open, other, inside] = self.addresses;
        match place {
            Place::Open => open,
            Place::Other => other,
            Place::Inside => inside,
        }
    }

    /// A path that sends whoever follows to this URL.
    pub(crate) fn redirect(url: &str) -> String {
        format!("{REDIRECT}{}", URL_SAFE_NO_PAD.encode(url))
    }

    /// A path that is answered when it is let go, and half a minute later at the latest.
    pub(crate) fn hold(name: &str) -> String {
        format!("{HELD}{name}")
    }

    /// Lets a path be answered.
    pub(crate) fn let_go(&self, path: &str) {
        self.let_go.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    /// The requests that have this text in their target or body.
    pub(crate) fn seen(&self, text: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|seen| seen.target.contains(text) || seen.body.contains(text)).cloned().collect()
    }

    /// Answers for ever.
    pub async fn serve(&self) -> Infallible {
        let [open, other, inside] = &self.listeners;
        let sixth = async {
            match &self.sixth {
                Some(listener) => self.answer_all(Place::Inside, listener).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            never = self.answer_all(open.0, &open.1) => never,
            never = self.answer_all(other.0, &other.1) => never,
            never = self.answer_all(inside.0, &inside.1) => never,
            never = sixth => never,
        }
    }

    async fn answer_all(&self, place: Place, listener: &TcpListener) -> Infallible {
        let mut connections = futures::stream::FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.push(self.connection(place, stream));
                    }
                }
                Some(()) = futures::StreamExt::next(&mut connections), if !connections.is_empty() => {}
            }
        }
    }

    async fn connection(&self, place: Place, stream: TcpStream) {
        let service = service_fn(async |request: http::Request<Incoming>| {
            let (parts, body) = request.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
            if target.starts_with(HELD) {
                self.held(place, &target).await;
            }
            Ok::<_, Infallible>(self.answer(place, target, &parts.headers, &body))
        });
        // A caller that goes away is the caller's business.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn held(&self, place: Place, target: &str) {
        let waits = Seen { place, target: target.to_owned(), credential: None, body: String::new() };
        self.remember(waits);
        for _ in 0..LOOKS {
            let let_go = self.let_go.lock().unwrap_or_else(PoisonError::into_inner).contains(target);
            if let_go {
                return;
            }
            tokio::time::sleep(APART).await;
        }
    }

    fn answer(
        &self,
        place: Place,
        target: String,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response<Full<Bytes>> {
        let credential = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let key = credential.as_deref().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let mut response = Response::new(Full::default());
        if let Some(url) = path.strip_prefix(REDIRECT) {
            let url = URL_SAFE_NO_PAD.decode(url).unwrap_or_default();
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            if let Ok(url) = HeaderValue::from_bytes(&url) {
                response.headers_mut().insert(LOCATION, url);
            }
        } else {
            let (status, body) = match (place, path) {
                (_, FAILS) => (StatusCode::SERVICE_UNAVAILABLE, Value::Null),
                (Place::Open, "/v1/chat/completions") => {
                    self.provider.chat(key, &serde_json::from_slice(body).unwrap_or(Value::Null))
                }
                (_, "/token") => {
                    let token =
                        json!({"access_token": "granted", "token_type": "Bearer", "expires_in": 3600});
                    (StatusCode::OK, token)
                }
                _ => (StatusCode::OK, json!({"reached": format!("{place:?}")})),
            };
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *response.body_mut() = Full::new(body.to_string().into());
        }
        self.remember(Seen { place, target, credential, body: String::from_utf8_lossy(body).into_owned() });
        response
    }

    fn remember(&self, request: Seen) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_SEEN {
            seen.remove(0);
        }
        seen.push(request);
    }
}
