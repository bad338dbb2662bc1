//! A stand-in for an outside service, which does by its path what services do, and remembers everything.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// What stands among the requests where tokens were taken back.
const REVOKED: &str = "/revoked";

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

/// The service, on a port of its own until the test ends.
pub(crate) struct Service {
    pub(crate) host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    under_way: Arc<Mutex<UnderWay>>,
}

/// How many requests under each path there are at the moment, and were at the most.
type UnderWay = BTreeMap<String, (usize, usize)>;

impl Service {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let under_way = Arc::<Mutex<UnderWay>>::default();
        let shared = (seen.clone(), under_way.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, under_way) = shared.clone();
                let service = service_fn(move |request| counted(seen.clone(), under_way.clone(), request));
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { host, seen, under_way }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// All requests whose path begins so.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path.starts_with(path)).cloned().collect()
    }

    /// Takes back every access token that it gave at `/token`; `/guarded` refuses them from now on.
    pub(crate) fn revoke(&self) {
        let (key, authorization) = (String::new(), None);
        self.seen.lock().unwrap().push(Seen {
            path: REVOKED.to_owned(),
            key,
            authorization,
            body: Value::Null,
        });
    }

    /// How many requests under such a path there were at once at the most.
    pub(crate) fn peak(&self, path: &str) -> usize {
        let under_way = self.under_way.lock().unwrap();
        under_way
            .iter()
            .filter(|(known, _)| known.starts_with(path))
            .map(|(_, (_, most))| *most)
            .max()
            .unwrap_or(0)
    }

    /// How often each idempotency key came in under such a path.
    pub(crate) fn by_key(&self, path: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for seen in self.seen(path) {
            *counts.entry(seen.key).or_default() += 1;
        }
        counts
    }
}

async fn counted(
    seen: Arc<Mutex<Vec<Seen>>>,
    under_way: Arc<Mutex<UnderWay>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    {
        let mut all = under_way.lock().unwrap();
        let (now, most) = all.entry(path.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }
    let answered = answer(seen, request).await;
    if let Some((now, _)) = under_way.lock().unwrap().get_mut(&path) {
        *now -= 1;
    }
    answered
}

async fn answer(
    seen: Arc<Mutex<Vec<Seen>>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (key, authorization) = (header("idempotency-key").unwrap_or_default(), header("authorization"));
    let path = request.uri().path_and_query().unwrap().to_string();
    let bytes = request.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let (earlier, given, taken_back) = {
        let mut all = seen.lock().unwrap();
        let given = all.iter().filter(|seen| seen.path == "/token").count();
        let revoked = all.iter().rposition(|seen| seen.path == REVOKED).unwrap_or(0);
        let taken_back = all[..revoked].iter().filter(|seen| seen.path == "/token").count();
        let earlier = all.iter().filter(|seen| seen.key == key && seen.path == path).count();
        all.push(Seen { path: path.clone(), key, authorization: authorization.clone(), body });
        (earlier, given, taken_back)
    };
    let holds =
        (taken_back..given).any(|token| authorization.as_deref() == Some(&format!("Bearer t{token}")));
    let mut parts = path.trim_start_matches('/').split('/');
    let (what, number) = (parts.next().unwrap_or(""), parts.next().and_then(|text| text.parse::<u64>().ok()));
    let number = number.unwrap_or(0);
    let status = match what {
        "flaky" if (earlier as u64) < number => StatusCode::SERVICE_UNAVAILABLE,
        "guarded" if !holds => StatusCode::UNAUTHORIZED,
        "broken" => StatusCode::INTERNAL_SERVER_ERROR,
        "slow" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            StatusCode::OK
        }
        _ => StatusCode::OK,
    };
    let told = match what {
        "token" => json!({"access_token": format!("t{given}"), "token_type": "Bearer", "expires_in": 3600}),
        _ => json!({"path": path, "earlier": earlier}),
    };
    let mut response = Response::new(Full::from(told.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    Ok(response)
}
